// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/check"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
)

const checkUsage = `usage: bridge-runner check -f FILE [-f FILE...] [--secrets DIR] [--connect] [--publish TOPIC]
                           [--client-id ID] [-o text|json]

Checks MQTTBridge manifests as the API server does, and reports all errors. The FILE - is the
standard input.

  --secrets DIR    also check that the Secrets and ConfigMaps of the bridge are usable; DIR is
                   the directory as for a runner
  --connect        also connect to every server of both sides, with the login, TLS, proxy and MQTT
                   version of the manifest; the check uses a clean session and a client
                   identifier of its own, so that it does not disturb a running bridge, and makes
                   no subscription
  --publish TOPIC  with --connect: publish a message on this topic on every server
  --client-id ID   with --connect: the client identifier, for servers that accept only known
                   identifiers; no running client may use it (default: a random one)
  -o text|json     the form of the report (default text)

Exit status: 0 no problem was found, 1 a manifest is invalid or a file cannot be read, 2 the
arguments are invalid, 3 the manifests are valid and a server cannot be used.
`

// The exit statuses of check and explain.
const (
	exitGood = iota
	exitInvalid
	exitUsage
	exitServer
)

// files are the values of a flag that can be repeated.
type files []string

func (f *files) String() string { return "" }

// Set implements [flag.Value].
func (f *files) Set(name string) error {
	*f = append(*f, name)
	return nil
}

// read returns the contents of a file, or of the standard input if the name is -.
func read(name string, in io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(name) //nolint:gosec // the user names the file
}

// The values of -o.
const (
	formText = "text"
	formJSON = "json"
)

// checkOptions are the arguments of check.
type checkOptions struct {
	files files
	form  string
	check.Options
}

// problem returns the reason why the arguments are invalid, or an empty string.
func (o *checkOptions) problem(args []string) string {
	switch {
	case len(args) > 0:
		return fmt.Sprintf("the argument %q is no flag; name each file by -f", args[0])
	case len(o.files) == 0:
		return "-f is required; name a file with MQTTBridge manifests"
	case o.form != formText && o.form != formJSON:
		return fmt.Sprintf("-o %q is no form of the report; use text or json", o.form)
	case !o.Connect && (o.Publish != "" || o.ClientID != ""):
		return "--publish and --client-id need --connect"
	case o.Publish != "" && !topic.IsName(o.Publish):
		return fmt.Sprintf("--publish %q is not the topic of a message; it must not contain + or #", o.Publish)
	}
	return ""
}

// runCheck runs the command check, and returns the exit status.
func runCheck(ctx context.Context, args []string, in io.Reader, out, fault io.Writer) int {
	var o checkOptions
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(fault)
	flags.Usage = func() { _, _ = io.WriteString(fault, checkUsage) }
	flags.Var(&o.files, "f", "")
	flags.StringVar(&o.form, "o", formText, "")
	flags.StringVar(&o.Secrets, "secrets", "", "")
	flags.BoolVar(&o.Connect, "connect", false, "")
	flags.StringVar(&o.Publish, "publish", "", "")
	flags.StringVar(&o.ClientID, "client-id", "", "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitGood
	} else if err != nil {
		return exitUsage
	}
	if problem := o.problem(flags.Args()); problem != "" {
		_, _ = fmt.Fprintf(fault, "bridge-runner check: %s\n\n%s", problem, checkUsage)
		return exitUsage
	}
	var report check.Report
	for _, name := range o.files {
		data, err := read(name, in)
		if err != nil {
			_, _ = fmt.Fprintln(fault, "bridge-runner check:", err)
			return exitInvalid
		}
		report.Add(ctx, name, data, o.Options)
	}
	if err := writeReport(out, o.form, &report, func() error { return report.WriteText(out, time.Now()) }); err != nil {
		_, _ = fmt.Fprintln(fault, "bridge-runner check: writing the report:", err)
		return exitInvalid
	}
	return map[check.Result]int{check.Good: exitGood, check.Invalid: exitInvalid, check.ServerUnusable: exitServer}[report.Result]
}

// writeReport writes a report as JSON, or by text.
func writeReport(out io.Writer, form string, report any, text func() error) error {
	if form == formText {
		return text()
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
