// Checks Kubernetes objects, a JSON array on standard input, against the schemas that their kinds are published with.
//
//     node validate.mjs NODE_MODULES
//
// Prints one line for each problem. A field that a schema does not know is a problem too: a cluster would drop it.

import { pathToFileURL } from 'node:url';
import { readFileSync } from 'node:fs';

const packages = {
  'gateway.envoyproxy.io': '@kubernetes-models/envoy-gateway/gateway.envoyproxy.io',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api/gateway.networking.k8s.io',
  'install.istio.io': '@kubernetes-models/istio/install.istio.io',
  'networking.istio.io': '@kubernetes-models/istio/networking.istio.io',
  'security.istio.io': '@kubernetes-models/istio/security.istio.io',
  'networking.k8s.io': 'kubernetes-models/networking.k8s.io',
  'traefik.io': '@kubernetes-models/traefik/traefik.io',
};

// Tells which fields a schema looked at. One that looked at none of an object's takes any.
function watched(value, path, unknown) {
  if (value === null || typeof value !== 'object') return value;
  const members = Array.isArray(value)
    ? value.map((item, index) => watched(item, `${path}/${index}`, unknown))
    : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, watched(item, `${path}/${key}`, unknown)]));
  if (Array.isArray(value)) return members;
  const seen = new Set();
  unknown.push(() => (seen.size === 0 ? [] : Object.keys(members).filter((key) => !seen.has(key)).map((key) => `${path}/${key}`)));
  return new Proxy(members, {
    get(target, key) {
      if (typeof key === 'string') seen.add(key);
      return target[key];
    },
    ownKeys(target) {
      for (const key of Object.keys(target)) seen.add(key);
      return Reflect.ownKeys(target);
    },
  });
}

const [modules] = process.argv.slice(2);
for (const object of JSON.parse(readFileSync(0, 'utf8'))) {
  const [group, version] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : ['', object.apiVersion];
  const name = `${object.kind} ${object.metadata.name}`;
  const folder = group === '' ? 'kubernetes-models' : packages[group];
  const file = pathToFileURL(`${modules}/${folder}/${version}/${object.kind}.js`);
  const model = (await import(file))[object.kind];
  const unknown = [];
  try {
    const validate = new model({});
    Object.assign(validate, watched(object, '', unknown));
    validate.validate();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
  for (const field of unknown.flatMap((missed) => missed())) {
    console.log(`${name}: ${field} is unknown to the schema`);
  }
}
