// Answers pushes that come as JSON lines on stdin, each with a JSON line on stdout: a list of what the client reported.
// A push is {token, topic, type, priority, size, id, times}: size characters of text, and times copies at once.
import { createInterface } from 'node:readline';
import { argv, stdin, stdout } from 'node:process';

// options are the first argument: {host, port, ca_file, key_file, key_id, team_id, p12_file, password, clock_behind}.
export const options = JSON.parse(argv[2]);

// A machine whose clock is behind makes provider tokens that have expired.
const now = Date.now;
Date.now = () => now() - (options.clock_behind ?? 0) * 1000;

// serve takes a function that sends one push and resolves to {status, reason, timestamp, id} or {error}.
export async function serve(send) {
  for await (const line of createInterface({ input: stdin })) {
    const push = JSON.parse(line);
    const copies = Array.from({ length: push.times || 1 }, () => send(push));
    stdout.write(`${JSON.stringify(await Promise.all(copies))}\n`);
  }
}
