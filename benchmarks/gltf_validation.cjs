// Prints, for each file named, what the Khronos validator finds: {file, errors, warnings, infos, hints, codes}.
"use strict";
const { readFileSync } = require("fs");
const validator = require("gltf-validator");

(async () => {
  for (const file of process.argv.slice(2)) {
    const { issues } = await validator.validateBytes(new Uint8Array(readFileSync(file)));
    console.log(JSON.stringify({
      file,
      errors: issues.numErrors,
      warnings: issues.numWarnings,
      infos: issues.numInfos,
      hints: issues.numHints,
      codes: [...new Set(issues.messages.map(message => message.code))],
    }));
  }
  console.log(JSON.stringify({ version: validator.version() }));
})();
