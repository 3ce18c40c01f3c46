#!/usr/bin/env python3
"""Writes the server's bill of materials (CycloneDX 1.6, JSON) to standard output.

    python3 deploy/sbom.py > gatefort.cdx.json

It lists what is built into the binary for Linux on x86-64: the normal dependencies that Cargo.lock names, each with
its version, licence, source and checksum. What builds and tests the server is not in it.
The same sources give the same text.
"""

import json
import pathlib
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-gnu"


def metadata():
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def checksums():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(each["name"], each["version"]): each.get("checksum") for each in lock["package"]}


def built_in():
    """Name and version of what the binary holds; `cargo metadata` would add what tests switch on."""
    command = ["cargo", "tree", "--locked", "--edges=normal", "--prefix=none", "--format={p}", f"--target={TARGET}"]
    tree = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {(words[0], words[1].removeprefix("v")) for words in map(str.split, tree.splitlines()) if words}


def needs(resolve, packages):
    """The packages that the binary holds, each with those that it needs."""
    names = built_in()
    held = {each for each, package in packages.items() if (package["name"], package["version"]) in names}
    return {
        node["id"]: sorted(
            dependency["pkg"]
            for dependency in node["deps"]
            if dependency["pkg"] in held and any(kind["kind"] is None for kind in dependency["dep_kinds"])
        )
        for node in resolve["nodes"]
        if node["id"] in held
    }


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksum):
    found = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package.get("license"):
        # Older packages write "/" where SPDX says "OR".
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def main():
    cargo, sums = metadata(), checksums()
    packages = {package["id"]: package for package in cargo["packages"]}
    held = needs(cargo["resolve"], packages)
    root = packages[cargo["resolve"]["root"]]
    components = [
        component(packages[each], sums[packages[each]["name"], packages[each]["version"]])
        for each in held
        if each != root["id"]
    ]
    components.sort(key=lambda each: each["bom-ref"])
    dependencies = [
        {"ref": purl(packages[each]), "dependsOn": sorted(purl(packages[other]) for other in others)}
        for each, others in held.items()
    ]
    dependencies.sort(key=lambda each: each["ref"])
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(root, None) | {"type": "application"}},
        "components": components,
        "dependencies": dependencies,
    }
    text = json.dumps(document, sort_keys=True)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, text).urn
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
