// Says what is wrong with Kubernetes manifests: node check.mjs FILE...
//
// Each document is held against the published schema of its kind twice: by its validator (types, required fields,
// patterns) and, as a literal of its TypeScript interface, by the compiler, which also knows of fields that do not
// exist. Exit code 0 if nothing is wrong. A kind whose schema is not installed is wrong too.

import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {pathToFileURL} from 'node:url';

const modules = join(process.env.GATEFORT_TEST_NODE, 'node_modules');
const require = createRequire(join(modules, 'x.js'));
const {parseAllDocuments} = require('yaml');
const ts = require('typescript');

// API groups, and the packages that hold their schemas.
const packages = {
  'contour': ['projectcontour.io'],
  'envoy-gateway': ['gateway.envoyproxy.io'],
  'gateway-api': ['gateway.networking.k8s.io'],
  'istio': ['networking.istio.io', 'security.istio.io', 'telemetry.istio.io'],
  'prometheus-operator': ['monitoring.coreos.com'],
  'traefik': ['traefik.io'],
};

function source(apiVersion) {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  for (const [name, groups] of Object.entries(packages)) {
    if (groups.includes(group)) return [`@kubernetes-models/${name}`, `${group}/${version}`];
  }
  // Kubernetes itself; its older groups are filed without their domain.
  const own = {'rbac.authorization.k8s.io': group, 'networking.k8s.io': group}[group] ?? group.split('.')[0];
  return ['kubernetes-models', own ? `${own}/${version}` : version];
}

// What the packages are known to lack; everything else that they do not know is a problem.
// kgateway publishes its definitions in its chart alone.
const unpublished = ['gateway.kgateway.dev'];
// The filter ExternalAuth is of the experimental channel: its fields are there, its name is not among the values.
const experimental = 'filters/0/type must be equal to one of the allowed values';

const problems = [];
const literals = [];
let unchecked = 0;
for (const file of process.argv.slice(2)) {
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const value = document.toJS();
    if (document.errors.length) problems.push(`${file}: ${document.errors[0].message}`);
    if (!value) continue;
    const {kind, apiVersion, metadata} = value;
    const what = `${file}: ${kind} ${metadata?.name}`;
    if (unpublished.some(group => apiVersion?.startsWith(`${group}/`))) {
      unchecked += 1;
      continue;
    }
    const [name, path] = source(apiVersion ?? '');
    try {
      const module = await import(pathToFileURL(join(modules, name, path, 'index.js')));
      if (!module[kind]) throw new Error(`no schema of ${apiVersion} ${kind}`);
      literals.push({what, kind, from: `${name}/${path}`, value});
      new module[kind](value).validate();
    } catch (error) {
      const message = error.message.replace(/\s+/g, ' ');
      const known = JSON.stringify(value).includes('"type":"ExternalAuth"') && message.endsWith(experimental);
      if (!known) problems.push(`${what}: ${message}`);
    }
  }
}

// One file of literals, for the compiler alone; nothing of it is run.
const name = join(modules, 'manifests.ts');
const text = literals.map(({kind, from, value}, i) =>
  `import type {I${kind} as T${i}} from '${from}';\nexport const v${i}: T${i} = ${JSON.stringify(value)};\n`).join('');
const options = {
  noEmit: true, strict: true, skipLibCheck: true, types: [],
  module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, target: ts.ScriptTarget.ES2022,
};
const host = ts.createCompilerHost(options);
const readFile = host.readFile.bind(host);
const fileExists = host.fileExists.bind(host);
const getSourceFile = host.getSourceFile.bind(host);
host.fileExists = file => file === name || fileExists(file);
host.readFile = file => file === name ? text : readFile(file);
host.getSourceFile = (file, version, ...rest) =>
  file === name ? ts.createSourceFile(file, text, version) : getSourceFile(file, version, ...rest);
for (const diagnostic of ts.getPreEmitDiagnostics(ts.createProgram([name], options, host))) {
  // Two lines a manifest: its import and its literal.
  const line = diagnostic.file ? diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start).line : 0;
  const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n  ');
  problems.push(`${literals[Math.floor(line / 2)]?.what ?? diagnostic.file?.fileName}: ${message}`);
}

if (literals.length === 0) problems.push('no manifests');
for (const problem of problems) console.error(problem);
console.log(`${literals.length} manifests, ${unchecked} without a published schema, ${problems.length} problems`);
process.exitCode = problems.length ? 1 : 0;
