// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/command"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/convert"
)

const convertUsage = `usage: bridge-runner convert [--namespace NAMESPACE] [FILE...]

Converts MQTTBridge manifests of earlier releases into manifests of this release, and writes
them to the standard output. The FILE - is the standard input, as is no FILE. NAMESPACE is the
namespace of bridges whose manifest names none: the default client identifiers of before
depend on it.
`

// runConvert converts the manifests in files, or of in if there are no files, as
// [convert.Manifests] does. It writes the manifests to out and the notes to notes.
func runConvert(files []string, namespace string, in io.Reader, out, notes io.Writer) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	inputs, err := command.ReadInputs(files, in)
	if err != nil {
		return err
	}
	for i, input := range inputs {
		if i > 0 {
			if _, err := io.WriteString(out, "---\n"); err != nil {
				return err
			}
		}
		if input.Name == "-" {
			input.Name = "the standard input"
		}
		if err := convertOne(input.Name, namespace, input.Data, out, notes); err != nil {
			return err
		}
	}
	return nil
}

func convertOne(source, namespace string, data []byte, out, notes io.Writer) error {
	converted, remarks, err := convert.Manifests(data, namespace)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	for _, remark := range remarks {
		_, _ = fmt.Fprintln(notes, remark)
	}
	_, err = out.Write(converted)
	return err
}

// convertCommand runs the command convert, and returns the exit status.
func convertCommand(args []string, in io.Reader, out, fault io.Writer) int {
	flags := flag.NewFlagSet("convert", flag.ContinueOnError)
	namespace := flags.String("namespace", "", "")
	files, err := command.ParseFlags(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(out, convertUsage)
		return command.Done
	case err != nil:
		_, _ = fmt.Fprintf(fault, "bridge-runner convert: %s\n\n%s", command.FlagError(err), convertUsage)
		return command.Usage
	}
	if err := runConvert(files, *namespace, in, out, fault); err != nil {
		_, _ = fmt.Fprintln(fault, "bridge-runner convert:", err)
		return command.Failed
	}
	return command.Done
}
