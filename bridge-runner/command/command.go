// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package command has the commands that need no running bridge: check, explain and import. The
// runner and the plugin of kubectl share them: the options, their checks, the work, the output and
// the exit statuses. Each program reads its own arguments.
package command

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// The exit statuses of all commands.
const (
	// Done means that the command has done its work, and has found no problem.
	Done = 0
	// Failed means that the command could not do its work, or that a manifest is invalid.
	Failed = 1
	// Usage means that the arguments are invalid.
	Usage = 2
	// Partly means that the command has done its work, and the result is not complete: a server
	// cannot be used, or a part of a configuration has no counterpart.
	Partly = 3
)

// runner is the name of the program in the messages of the commands of the runner.
const runner = "bridge-runner"

// The values of -o.
const (
	formText = "text"
	formJSON = "json"
)

// An Input is a text with manifests.
type Input struct {
	// Name is the name of the file, or of the object of a cluster.
	Name string
	Data []byte
}

// files are the values of a flag that can be repeated.
type files []string

func (f *files) String() string { return "" }

// Set implements [flag.Value].
func (f *files) Set(name string) error {
	*f = append(*f, name)
	return nil
}

// ReadInputs reads files. The name - is the standard input.
func ReadInputs(names []string, in io.Reader) ([]Input, error) {
	out := make([]Input, 0, len(names))
	for _, name := range names {
		data, err := read(name, in)
		if err != nil {
			return nil, err
		}
		out = append(out, Input{name, data})
	}
	return out, nil
}

// maxInput is the largest size of an input, in bytes. It bounds the memory for a file without an end, such as a device.
const maxInput = 64 << 20

// read returns the contents of a file, or of the standard input if the name is -.
func read(name string, in io.Reader) ([]byte, error) {
	source := "the standard input"
	if name != "-" {
		source = name
		file, err := os.Open(name) //nolint:gosec // the user names the file
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		if info, err := file.Stat(); err == nil && info.IsDir() {
			return nil, fmt.Errorf("%s is a directory; name each of its files", name)
		}
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", source, err)
	case len(data) > maxInput:
		return nil, fmt.Errorf("%s has more than %d bytes; name a smaller file", source, maxInput)
	}
	return data, nil
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

// A usage is the help of a command of the runner.
type usage struct {
	// head and tail are the texts before and after the descriptions of the flags.
	head, tail string
}

// parse parses the arguments of a command of the runner, and returns the arguments that are no
// flags. Flags may also follow other arguments; all arguments after -- are other arguments. It
// returns false with the exit status if the command must not run.
func (u usage) parse(flags *flag.FlagSet, args []string, fault io.Writer) (others []string, status int, ok bool) {
	flags.SetOutput(fault)
	flags.Usage = func() { _, _ = io.WriteString(fault, u.text(flags)) }
	for {
		err := flags.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, Done, false
		} else if err != nil {
			return nil, Usage, false
		}
		rest := flags.Args()
		parsed := len(args) - len(rest)
		if len(rest) == 0 || parsed > 0 && args[parsed-1] == "--" {
			return append(others, rest...), Done, true
		}
		others, args = append(others, rest[0]), rest[1:]
	}
}

// refuse writes why the arguments are invalid, and the help. It returns the exit status.
func (u usage) refuse(flags *flag.FlagSet, problem string, fault io.Writer) int {
	_, _ = fmt.Fprintf(fault, "%s %s: %s\n\n%s", runner, flags.Name(), problem, u.text(flags))
	return Usage
}

const (
	usageColumn = 23
	usageWidth  = 77
)

// text returns the help.
func (u usage) text(flags *flag.FlagSet) string {
	var b strings.Builder
	b.WriteString(u.head + "\n")
	flags.VisitAll(func(f *flag.Flag) {
		value, description := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" {
			description += " (default: " + f.DefValue + ")"
		}
		name := "  --" + f.Name
		if len(f.Name) == 1 {
			name = "  -" + f.Name
		}
		lines := wrap(description, usageWidth)
		fmt.Fprintf(&b, "%-*s%s\n", usageColumn, strings.TrimRight(name+" "+value, " "), lines[0])
		for _, line := range lines[1:] {
			fmt.Fprintf(&b, "%-*s%s\n", usageColumn, "", line)
		}
	})
	return b.String() + "\n" + u.tail
}

// wrap divides a text into lines.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		if *last != "" && len(*last)+1+len(word) > width {
			lines = append(lines, word)
			continue
		}
		*last = strings.TrimSpace(*last + " " + word)
	}
	return lines
}
