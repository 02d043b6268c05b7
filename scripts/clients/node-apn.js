// Sends pushes through @parse/node-apn.
import apn from '@parse/node-apn';
import { options, serve } from './serve.js';

const provider = new apn.Provider({
  address: options.host,
  port: options.port,
  ca: options.ca_file,
  ...(options.p12_file
    ? { pfx: options.p12_file, passphrase: options.password }
    : { token: { key: options.key_file, keyId: options.key_id, teamId: options.team_id } }),
});

await serve(async (push) => {
  const notification = new apn.Notification({
    topic: push.topic,
    pushType: push.type,
    priority: push.priority,
    id: push.id,
    ...(push.type === 'background' ? { contentAvailable: 1 } : { alert: 'x'.repeat(push.size) }),
  });
  const { sent, failed } = await provider.send(notification, push.token);
  if (sent.length === 1) {
    return { status: 200, id: sent[0]['apns-id'] };
  }
  const [{ status, response, error }] = failed;
  // Some answers come as an error with the reason for its text.
  return { status, reason: response?.reason ?? error?.message, timestamp: response?.timestamp };
});
await provider.shutdown();
