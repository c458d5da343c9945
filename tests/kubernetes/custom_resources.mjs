// custom_resources.mjs < OBJECTS: hold objects that Kubernetes itself does not know against the schemas of their CRDs.
// A schema checks values but lets unknown fields pass, so TypeScript checks the names against the type made from the same CRD.
// Reads a JSON array of objects; prints a JSON array of sentences.
import { readFileSync, writeFileSync } from "node:fs";
import ts from "typescript";
import { HTTPRoute } from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

const kinds = {
    HTTPRoute: [HTTPRoute, "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute"],
    ServiceMonitor: [ServiceMonitor, "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor"],
};

function valueFault(object) {
    try {
        new kinds[object.kind][0](object).validate();
        return [];
    } catch (error) {
        return [`${object.kind}: ${error.message}`];
    }
}

function nameFaults(objects) {
    const lines = objects.map((object, i) => `import type { I${object.kind} as T${i} } from "${kinds[object.kind][1]}";\n` +
                                             `export const o${i}: T${i} = ${JSON.stringify(object)};\n`);
    const file = new URL("objects.ts", import.meta.url).pathname;
    writeFileSync(file, lines.join(""));
    const program = ts.createProgram([file], {
        strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext,
        moduleResolution: ts.ModuleResolutionKind.Bundler, types: [],
    });
    return ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, " "));
}

const objects = JSON.parse(readFileSync(0, "utf8"));
const unknown = objects.filter((object) => !kinds[object.kind]).map((object) => `${object.kind}: no schema`);
const known = objects.filter((object) => kinds[object.kind]);
console.log(JSON.stringify([...unknown, ...known.flatMap(valueFault), ...nameFaults(known)]));
