// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/convert"
)

const convertUsage = `usage: bridge-runner convert [FILE...]

Converts MQTTBridge manifests of earlier releases into manifests of this release, and writes
them to the standard output. Without a FILE it reads the standard input.
`

// runConvert converts the manifests in files, or of in if there are no files. It writes the
// manifests to out and the notes to notes.
func runConvert(files []string, in io.Reader, out, notes io.Writer) error {
	if len(files) == 0 {
		data, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("reading the standard input: %w", err)
		}
		return convertOne("the standard input", data, out, notes)
	}
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if i > 0 {
			if _, err := io.WriteString(out, "---\n"); err != nil {
				return err
			}
		}
		if err := convertOne(file, data, out, notes); err != nil {
			return err
		}
	}
	return nil
}

func convertOne(source string, data []byte, out, notes io.Writer) error {
	converted, remarks, err := convert.Manifests(data)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	for _, remark := range remarks {
		_, _ = fmt.Fprintln(notes, remark)
	}
	_, err = out.Write(converted)
	return err
}
