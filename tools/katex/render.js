// One formula a line in, one result a line out, both as JSON.
const katex = require("./katex.min.js");

require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { tex, display } = JSON.parse(line);
  let result;
  try {
    const trust = ({ command }) => { throw new Error(`${command} loads or links something`); };
    const options = { displayMode: display, output: "htmlAndMathml", strict: "error", throwOnError: true, trust };
    result = { html: katex.renderToString(tex, options) };
  } catch (error) {
    result = { error: error.message };
  }
  process.stdout.write(JSON.stringify(result) + "\n");
});
