// Parses a file by a tree-sitter grammar and prints what it cannot read:
//
//	node parse.mjs NODE_MODULES GRAMMAR FILE
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const [modules, grammar, file] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Parser, Language } = require('@vscode/tree-sitter-wasm');

await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(require.resolve(`@vscode/tree-sitter-wasm/wasm/tree-sitter-${grammar}.wasm`)));
const { rootNode } = parser.parse(readFileSync(file, 'utf8'));

const complain = (node) => {
  if (node.isError || node.isMissing) console.log(`line ${node.startPosition.row + 1}: ${node.text}`);
  node.children.forEach(complain);
};
complain(rootNode);
process.exitCode = rootNode.hasError ? 1 : 0;
