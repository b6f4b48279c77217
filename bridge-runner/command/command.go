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
	"regexp"
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

// ParseFlags parses the arguments of a command, and returns the arguments that are no flags. Flags
// may also follow other arguments; all arguments after -- are other arguments. The error is an error
// of [flag.FlagSet.Parse].
func ParseFlags(flags *flag.FlagSet, args []string) (others []string, err error) {
	flags.SetOutput(io.Discard)
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

// parse parses the arguments of a command of the runner as [ParseFlags] does. It returns false with
// the exit status if the command must not run.
func (u usage) parse(flags *flag.FlagSet, args []string, out, fault io.Writer) (others []string, status int, ok bool) {
	others, err := ParseFlags(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(out, u.head+"\n"+DescribeFlags(flags)+"\n"+u.tail)
		return nil, Done, false
	case err != nil:
		return nil, u.refuse(flags, FlagError(err), fault), false
	}
	return others, Done, true
}

// refuse writes why the arguments are invalid, and returns the exit status. The help would hide the message.
func (u usage) refuse(flags *flag.FlagSet, problem string, fault io.Writer) int {
	_, _ = fmt.Fprintf(fault, "%s %s: %s\n\"%[1]s %[2]s -h\" describes the command.\n", runner, flags.Name(), problem)
	return Usage
}

// singleDash matches the name of a flag in the errors of package flag.
var singleDash = regexp.MustCompile(`^(flag provided but not defined: |flag needs an argument: |invalid (?:boolean )?value ".*" for (?:flag )?)-(\w[-\w]+)`)

// FlagError returns the text of an error of [flag.FlagSet.Parse], with the names of flags as the help shows
// them.
func FlagError(err error) string { return singleDash.ReplaceAllString(err.Error(), "$1--$2") }

const (
	usageColumn = 23
	usageWidth  = 77
)

// DescribeFlags describes the flags with these names in this order, or all flags if there are no names.
func DescribeFlags(flags *flag.FlagSet, names ...string) string {
	if len(names) == 0 {
		flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	}
	var b strings.Builder
	for _, name := range names {
		f := flags.Lookup(name)
		value, description := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0s" {
			description += " (default: " + f.DefValue + ")"
		}
		shown := "  --" + f.Name
		if len(f.Name) == 1 {
			shown = "  -" + f.Name
		}
		shown = strings.TrimRight(shown+" "+value, " ")
		if len(shown) >= usageColumn {
			b.WriteString(shown + "\n")
			shown = ""
		}
		for _, line := range wrap(description, usageWidth) {
			fmt.Fprintf(&b, "%-*s%s\n", usageColumn, shown, line)
			shown = ""
		}
	}
	return b.String()
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
