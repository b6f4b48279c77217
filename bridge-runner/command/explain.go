// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"flag"
	"fmt"
	"io"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/explain"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/topic"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

var explainUsage = usage{
	head: `usage: bridge-runner explain -f FILE [--qos 0|1|2] [--retain] [-o text|json] TOPIC...

Shows the path of the messages of each TOPIC, on each side: the rules that match, the messages that
they publish on the other side, and whether these could come back. It connects to no
server. The FILE - is the standard input.
`,
	tail: `Exit status: 0 the messages are explained, 1 the manifest is invalid or cannot be read, 2 the
arguments are invalid.
`,
}

// Explain is the command explain.
type Explain struct {
	// Program is the name of the program in messages.
	Program string
	// File is the file that the user names.
	File string
	// Form is the form of the report, text or json.
	Form   string
	qos    uint
	retain bool
}

// Define defines the flags of the command.
func (e *Explain) Define(flags *flag.FlagSet) {
	flags.StringVar(&e.File, "f", "", "the `FILE` with the manifest; - is the standard input")
	flags.UintVar(&e.qos, "qos", 2, "the `QOS` of the messages, 0, 1 or 2")
	flags.BoolVar(&e.retain, "retain", false, "the messages are retained")
	flags.StringVar(&e.Form, "o", formText, "the `FORM` of the report, text or json")
}

// Problem returns the reason why the options are invalid, or an empty string.
func (e *Explain) Problem(topics []string) string {
	switch {
	case e.Form != formText && e.Form != formJSON:
		return fmt.Sprintf("-o %q is no form of the report; use text or json", e.Form)
	case e.qos > 2:
		return fmt.Sprintf("--qos %d is no QoS; use 0, 1 or 2", e.qos)
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

// problem returns the reason why the arguments of the runner are invalid, or an empty string.
func (e *Explain) problem(topics []string) string {
	if e.File == "" {
		return "-f is required; name a file with an MQTTBridge manifest"
	}
	return e.Problem(topics)
}

// messages returns the messages to explain.
func (e *Explain) messages(topics []string) []explain.Message {
	out := make([]explain.Message, len(topics))
	for i, t := range topics {
		out[i] = explain.Message{Topic: t, QoS: byte(e.qos & 3), Retain: e.retain}
	}
	return out
}

// Run explains the topics for the bridges of the inputs, and returns the exit status. An input that is invalid does not
// hide the others: it may be one of many bridges of a cluster.
func (e *Explain) Run(inputs []Input, topics []string, out, fault io.Writer) int {
	report, status := explain.Report{}, Done
	for _, input := range inputs {
		if err := e.add(&report, input, topics); err != nil {
			_, _ = fmt.Fprintf(fault, "%s explain: %s\n", e.Program, printable.Text(err.Error()))
			status = Failed
		}
	}
	if len(report.Bridges) == 0 {
		return status
	}
	if err := writeReport(out, e.Form, &report, func() error { return report.WriteText(out) }); err != nil {
		_, _ = fmt.Fprintf(fault, "%s explain: writing the report: %v\n", e.Program, err)
		return Failed
	}
	return status
}

// add explains the topics for the bridges of an input.
func (e *Explain) add(report *explain.Report, input Input, topics []string) error {
	documents, err := config.Documents(input.Data)
	if err != nil {
		return fmt.Errorf("%s: %w", input.Name, err)
	}
	for i := range documents {
		m, problems, err := documents[i].Check()
		switch {
		case err != nil:
			return fmt.Errorf("%s:%d: %w", input.Name, documents[i].Line(), err)
		case len(problems) > 0:
			return fmt.Errorf("the manifest %s:%d is invalid: %w; %s check shows the line of each error", input.Name, documents[i].Line(), problems.ToAggregate(), e.Program)
		}
		if err := report.Add(m, e.messages(topics)); err != nil {
			return err
		}
	}
	return nil
}

// RunExplain runs the command explain of the runner, and returns the exit status.
func RunExplain(args []string, in io.Reader, out, fault io.Writer) int {
	e := Explain{Program: runner}
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	e.Define(flags)
	topics, status, ok := explainUsage.parse(flags, args, out, fault)
	if !ok {
		return status
	}
	if problem := e.problem(topics); problem != "" {
		return explainUsage.refuse(flags, problem, fault)
	}
	inputs, err := ReadInputs([]string{e.File}, in)
	if err != nil {
		_, _ = fmt.Fprintf(fault, "%s explain: %v\n", e.Program, err)
		return Failed
	}
	return e.Run(inputs, topics, out, fault)
}
