// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed" // the template
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

//go:embed krew.yaml.tmpl
var krewTemplate string

// A pluginArchive is an archive of the plugin for one platform.
type pluginArchive struct{ OS, Arch, Name, SHA256 string }

// krew prints the manifest of the plugin of kubectl for krew. file has the checksums of a release.
func krew(v, file string, out io.Writer) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	tmpl, err := template.New(filepath.Base(file)).Option("missingkey=error").Parse(krewTemplate)
	if err != nil {
		return err
	}
	archives := pluginArchives(v, string(data))
	if len(archives) == 0 {
		return fmt.Errorf("%s has no archive of kubectl-mqttbridge %s; build the release first", file, v)
	}
	return tmpl.Execute(out, map[string]any{"Version": v, "Archives": archives})
}

// pluginArchives returns the archives of the plugin in a list of checksums.
func pluginArchives(v, checksums string) (archives []pluginArchive) {
	name := regexp.MustCompile(`^([0-9a-f]{64})  (kubectl-mqttbridge_` + regexp.QuoteMeta(v) + `_(linux|darwin|windows)_(amd64|arm64|armv7)\.(?:tar\.gz|zip))$`)
	for line := range strings.Lines(checksums) {
		if m := name.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			// krew has the names of Go, which does not name the version of arm.
			archives = append(archives, pluginArchive{OS: m[3], Arch: strings.TrimSuffix(m[4], "v7"), Name: m[2], SHA256: m[1]})
		}
	}
	return archives
}
