// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/explain"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
)

const explainUsage = `usage: bridge-runner explain -f FILE [--qos 0|1|2] [--retain] [-o text|json] TOPIC...

Shows the path of the messages of each TOPIC, on each side: the rules that match, the messages that
they publish on the other side, and whether these could come back. It connects to no
server. The FILE - is the standard input.

  --qos 0|1|2     the QoS of the messages (default 2)
  --retain        the messages are retained
  -o text|json    the form of the report (default text)

Exit status: 0 the messages are explained, 1 the manifest is invalid or cannot be read, 2 the
arguments are invalid.
`

// explainOptions are the arguments of explain.
type explainOptions struct {
	file, form string
	qos        uint
	retain     bool
}

// problem returns the reason why the arguments are invalid, or an empty string.
func (o *explainOptions) problem(topics []string) string {
	switch {
	case o.file == "":
		return "-f is required; name a file with an MQTTBridge manifest"
	case o.form != formText && o.form != formJSON:
		return fmt.Sprintf("-o %q is no form of the report; use text or json", o.form)
	case o.qos > 2:
		return fmt.Sprintf("--qos %d is no QoS; use 0, 1 or 2", o.qos)
	case len(topics) == 0:
		return "a TOPIC is required; name the topic of a message, such as sensors/t1"
	}
	for _, t := range topics {
		if !topic.IsName(t) {
			return fmt.Sprintf("%q is not the topic of a message; name a topic without + and #, such as sensors/t1", t)
		}
	}
	return ""
}

// messages returns the messages to explain.
func (o *explainOptions) messages(topics []string) []explain.Message {
	out := make([]explain.Message, len(topics))
	for i, t := range topics {
		out[i] = explain.Message{Topic: t, QoS: byte(o.qos & 3), Retain: o.retain}
	}
	return out
}

// parseMixed parses flags that may also follow other arguments, and returns the other arguments. All
// arguments after -- are other arguments.
func parseMixed(flags *flag.FlagSet, args []string) (others []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		parsed := len(args) - len(rest)
		if len(rest) == 0 || parsed > 0 && args[parsed-1] == "--" {
			return append(others, rest...), nil
		}
		others, args = append(others, rest[0]), rest[1:]
	}
}

// runExplain runs the command explain, and returns the exit status.
func runExplain(args []string, in io.Reader, out, fault io.Writer) int {
	var o explainOptions
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	flags.SetOutput(fault)
	flags.Usage = func() { _, _ = io.WriteString(fault, explainUsage) }
	flags.StringVar(&o.file, "f", "", "")
	flags.StringVar(&o.form, "o", formText, "")
	flags.UintVar(&o.qos, "qos", 2, "")
	flags.BoolVar(&o.retain, "retain", false, "")
	topics, err := parseMixed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return exitGood
	} else if err != nil {
		return exitUsage
	}
	if problem := o.problem(topics); problem != "" {
		_, _ = fmt.Fprintf(fault, "bridge-runner explain: %s\n\n%s", problem, explainUsage)
		return exitUsage
	}
	report, err := o.report(topics, in)
	if err == nil {
		err = writeReport(out, o.form, report, func() error { return report.WriteText(out) })
	}
	if err != nil {
		_, _ = fmt.Fprintln(fault, "bridge-runner explain:", err)
		return exitInvalid
	}
	return exitGood
}

// report explains the topics.
func (o *explainOptions) report(topics []string, in io.Reader) (*explain.Report, error) {
	data, err := read(o.file, in)
	if err != nil {
		return nil, err
	}
	var out explain.Report
	documents := config.Documents(data)
	for i := range documents {
		m, problems, err := config.Check(documents[i].Data)
		if err == nil {
			err = problems.ToAggregate()
		}
		if err != nil {
			return nil, fmt.Errorf("the manifest %s:%d is invalid: %w; bridge-runner check shows the line of each error", o.file, documents[i].Line(), err)
		}
		if err := out.Add(m, o.messages(topics)); err != nil {
			return nil, err
		}
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("the file %s has no MQTTBridge; name a file with a manifest of kind MQTTBridge", o.file)
	}
	return &out, nil
}
