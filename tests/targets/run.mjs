// Runs the checks as WebAssembly: node run.mjs PROGRAM. A check that fails says why, and ends in a trap.
import { readFileSync } from "node:fs";

const show = (start, length) => {
    const text = new Uint8Array(program.exports.memory.buffer, start, length);
    console.log(new TextDecoder().decode(text));
};
const program = new WebAssembly.Instance(
    new WebAssembly.Module(readFileSync(process.argv[2])),
    { outside: { show } },
);
program.exports.check();
