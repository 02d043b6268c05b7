// Parses the AsyncAPI document that it is given, resolves its references, and ends with 1 where it has an error.
import { argv, exit } from 'node:process';
import parser from '@asyncapi/parser';

const errorSeverity = 0;
const { document, diagnostics } = await parser.fromFile(new parser.Parser(), argv[2]).parse();
const errors = diagnostics.filter((d) => d.severity === errorSeverity);
for (const e of errors) {
  console.error(`${argv[2]}:${e.range.start.line + 1}: ${e.path.join('.')}: ${e.message}`);
}
if (!document || errors.length > 0) {
  exit(1);
}
console.log(`${argv[2]}: ${document.channels().length} channels, ${document.operations().length} operations, ${document.allMessages().length} messages`);
