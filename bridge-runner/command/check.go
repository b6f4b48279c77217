// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/check"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
)

var checkUsage = usage{
	head: `usage: bridge-runner check -f FILE [-f FILE...] [--secrets DIR] [--connect] [--publish TOPIC]
                           [--client-id ID] [-o text|json]

Checks MQTTBridge manifests as the API server does, and reports all errors. The FILE - is the
standard input.
`,
	tail: `Exit status: 0 no problem was found, 1 a manifest is invalid or a file cannot be read, 2 the
arguments are invalid, 3 the manifests are valid and a server cannot be used.
`,
}

// Check is the command check.
type Check struct {
	// Program is the name of the program in messages.
	Program string
	// Files are the files that the user names.
	Files files
	// Form is the form of the report, text or json.
	Form string
	check.Options
}

// Define defines the flags of the command.
func (c *Check) Define(flags *flag.FlagSet) {
	flags.Var(&c.Files, "f", "a `FILE` with MQTTBridge manifests; can be repeated; - is the standard input")
	flags.StringVar(&c.Secrets, "secrets", "", "also check that the Secrets and ConfigMaps of the bridge are usable; `DIR` is the directory as for a runner; for a runner with --bridges, its directory <namespace>")
	flags.BoolVar(&c.Connect, "connect", false, "also connect to every server of both sides, with the login, TLS, proxy and MQTT version of the manifest; the check uses a clean session and a client identifier of its own, so that it does not disturb a running bridge, and makes no subscription")
	flags.StringVar(&c.Publish, "publish", "", "with --connect: publish a message on this `TOPIC` on every server")
	flags.StringVar(&c.ClientID, "client-id", "", "with --connect: the client identifier `ID`, for servers that accept only known identifiers; no running client may use it (default: a random one)")
	flags.StringVar(&c.Form, "o", formText, "the `FORM` of the report, text or json")
}

// Problem returns the reason why the options are invalid, or an empty string.
func (c *Check) Problem() string {
	switch {
	case c.Form != formText && c.Form != formJSON:
		return fmt.Sprintf("-o %q is no form of the report; use text or json", c.Form)
	case !c.Connect && (c.Publish != "" || c.ClientID != ""):
		return "--publish and --client-id need --connect"
	case c.Publish != "" && !topic.IsName(c.Publish):
		return fmt.Sprintf("--publish %q is not the topic of a message; it must not contain + or #", c.Publish)
	}
	return ""
}

// problem returns the reason why the arguments of the runner are invalid, or an empty string.
func (c *Check) problem(args []string) string {
	switch {
	case len(args) > 0:
		return fmt.Sprintf("the argument %q is no flag; name each file by -f", args[0])
	case len(c.Files) == 0:
		return "-f is required; name a file with MQTTBridge manifests"
	}
	return c.Problem()
}

// Run checks the manifests of the inputs, and returns the exit status.
func (c *Check) Run(ctx context.Context, inputs []Input, out, fault io.Writer) int {
	var report check.Report
	for _, input := range inputs {
		report.Add(ctx, input.Name, input.Data, c.Options)
	}
	if err := writeReport(out, c.Form, &report, func() error { return report.WriteText(out, time.Now()) }); err != nil {
		_, _ = fmt.Fprintf(fault, "%s check: writing the report: %v\n", c.Program, err)
		return Failed
	}
	return map[check.Result]int{check.Good: Done, check.Invalid: Failed, check.ServerUnusable: Partly}[report.Result]
}

// RunCheck runs the command check of the runner, and returns the exit status.
func RunCheck(ctx context.Context, args []string, in io.Reader, out, fault io.Writer) int {
	c := Check{Program: runner}
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	c.Define(flags)
	others, status, ok := checkUsage.parse(flags, args, out, fault)
	if !ok {
		return status
	}
	if problem := c.problem(others); problem != "" {
		return checkUsage.refuse(flags, problem, fault)
	}
	inputs, err := ReadInputs(c.Files, in)
	if err != nil {
		_, _ = fmt.Fprintf(fault, "%s check: %v\n", c.Program, err)
		return Failed
	}
	return c.Run(ctx, inputs, out, fault)
}
