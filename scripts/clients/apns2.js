// Sends pushes through apns2. It knows port 443 alone and takes no certificate authority: what it dials goes to the
// simulator's port, and NODE_EXTRA_CA_CERTS names the authority.
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { ApnsClient, Notification } from 'apns2';
import { options, serve } from './serve.js';

const { connect } = tls;
tls.connect = (to) => connect({ ...to, port: options.port });

const client = new ApnsClient({
  team: options.team_id,
  keyId: options.key_id,
  signingKey: readFileSync(options.key_file),
  host: options.host,
});

await serve(async (push) => {
  const notification = new Notification(push.token, {
    type: push.type,
    topic: push.topic,
    priority: push.priority,
    ...(push.type === 'background' ? { contentAvailable: true } : { alert: 'x'.repeat(push.size) }),
  });
  try {
    await client.send(notification);
    return { status: 200 };
  } catch (error) {
    return { status: error.statusCode, reason: error.reason ?? error.message, timestamp: error.timestamp };
  }
});
await client.close();
