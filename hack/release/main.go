// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command release prepares a release from the changelog: it checks that all files name the same
// version, and writes the notes of the release and the chart with its annotations. docs/releases.md
// describes how a release is made.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

const usage = `usage: go run ./hack/release check [VERSION]
       go run ./hack/release notes VERSION
       go run ./hack/release chart VERSION DIRECTORY
       go run ./hack/release krew VERSION CHECKSUMS

check compares the versions in the changelog, the chart and the documentation. With a VERSION,
  such as 1.2.3, it also checks that they are ready for the release of this version.
notes prints the notes of a release: the section of the changelog.
chart writes the chart to DIRECTORY, with the version and the annotations of the release.
krew prints the manifest of the plugin of kubectl for krew, from the file CHECKSUMS.

For a VERSION that the changelog does not have, as in a snapshot, notes and chart use its first
section.
`

func main() {
	if err := run(".", os.Args[1:], os.Stdout); err != nil {
		if errors.Is(err, errUsage) {
			fmt.Fprint(os.Stderr, usage)
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

// run runs a command in the project's directory.
func run(root string, args []string, out io.Writer) error {
	switch {
	case len(args) >= 1 && len(args) <= 2 && args[0] == "check":
		version := ""
		if len(args) == 2 {
			version = args[1]
		}
		return check(root, version)
	case len(args) == 2 && args[0] == "notes":
		return notes(root, args[1], out)
	case len(args) == 3 && args[0] == "chart":
		return writeChart(root, args[1], args[2])
	case len(args) == 3 && args[0] == "krew":
		return krew(args[1], args[2], out)
	}
	return errUsage
}
