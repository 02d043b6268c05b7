// An IM service at its smallest: produces one chat message to Kafka and prints the message's key.
//
//     java -cp kafka-clients.jar:slf4j-api.jar Produce.java 127.0.0.1:9092 im.messages

import java.util.Properties;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class Produce {
    public static void main(String[] args) throws Exception {
        String broker = args.length > 0 ? args[0] : "127.0.0.1:9092";
        String topic = args.length > 1 ? args[1] : "im.messages";

        Properties settings = new Properties(); // murmur2 and acks=all are this client's defaults
        settings.put("bootstrap.servers", broker);
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());

        // MsgSeq, MsgRandom and MsgTimeStamp are chosen once for a message, not once for an attempt: by them a message
        // that is produced twice is recognized.
        long seq = 101;
        long random = ThreadLocalRandom.current().nextLong(1L << 32);
        long time = System.currentTimeMillis() / 1000;
        String value = """
                {"App": "demo", "From_Account": "alice", "From_Nick": "Alice", "To_Account": "bob",
                 "MsgSeq": %d, "MsgRandom": %d, "MsgTimeStamp": %d,
                 "MsgBody": [{"MsgType": "TIMTextElem", "MsgContent": {"Text": "hello"}}]}
                """.formatted(seq, random, time); // what users write is encoded by a JSON library

        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            // Messages of one key are pushed in their order: the conversation is a good one. get() waits until the
            // record is durable; a service at work gives send a callback instead.
            producer.send(new ProducerRecord<>(topic, "c2c:alice:bob", value)).get();
        }
        System.out.printf("c2c:alice:%d_%d_%d%n", seq, random, time);
    }
}
