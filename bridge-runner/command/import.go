// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

var importUsage = usage{
	head: `usage: bridge-runner import [flags] FILE...

Turns bridge configurations of other brokers into MQTTBridge manifests and Secrets. It names each
key that has no counterpart, with its line and the reason. The FILE - is the standard input.
`,
	tail: `Exit status: 0 complete, 1 error, 2 wrong arguments, 3 something has no counterpart.
`,
}

// Import is the command import.
type Import struct {
	// Program is the name of the program in messages.
	Program string
	// Namespace is the namespace of the manifests. If it is empty, they have none.
	Namespace string

	from, local, files, secrets, output string
	overwrite                           bool
}

// standardOutput is the value of -o for the standard output.
const standardOutput = "-"

// Define defines the flags of the command.
func (c *Import) Define(flags *flag.FlagSet) {
	flags.StringVar(&c.from, "from", "", "the `FORMAT` of the files: emqx, hivemq-edge, mosquitto or nanomq (default: the contents decide)")
	flags.StringVar(&c.local, "local", "", "the address of the broker that the configuration belongs to, such as the `URL` mqtt://nanomq.plant.svc:1883 (default: localhost, with a note)")
	flags.StringVar(&c.files, "files", "", "read the certificates and keys that the configuration names, below `DIR`: / on the machine of the broker (default: read none, with a note)")
	flags.StringVar(&c.secrets, "secrets", "", "write the values of Secrets into files below `DIR`, for bridge-runner --secrets, and no Secrets (default: write Secrets for Kubernetes)")
	flags.StringVar(&c.output, "o", standardOutput, "write one file for each bridge into `DIR`; - is the standard output")
	flags.BoolVar(&c.overwrite, "overwrite", false, "replace existing files; without this flag, the command writes nothing if one of its files exists")
}

// Problem returns the reason why the arguments are invalid, or an empty string.
func (c *Import) Problem(sources []string) string {
	if len(sources) == 0 {
		return "name at least one FILE"
	}
	if c.overwrite && c.output == standardOutput && c.secrets == "" {
		return "--overwrite needs -o DIR or --secrets DIR; the standard output replaces no file"
	}
	if c.from != "" && !slices.Contains(importer.Formats(), c.from) {
		return fmt.Sprintf("the value %q of --from is no format; the formats are %s", c.from, strings.Join(importer.Formats(), ", "))
	}
	if problems := validation.IsDNS1123Label(c.Namespace); c.Namespace != "" && len(problems) > 0 {
		return fmt.Sprintf("the value %q of --namespace is not the name of a namespace: %s", c.Namespace, problems[0])
	}
	if c.local == "" {
		return ""
	}
	if _, err := manifest.ParseURL(c.local); err != nil {
		return fmt.Sprintf("the value %q of --local is not the URL of a server: %v", v1alpha1.PublicURL(c.local), err)
	}
	return ""
}

// Run imports the files, and returns the exit status.
func (c *Import) Run(sources []string, in io.Reader, out, fault io.Writer) int {
	status, err := c.importFiles(sources, in, out, fault)
	if err != nil {
		_, _ = fmt.Fprintf(fault, "%s import: %v\n", c.Program, err)
		return Failed
	}
	return status
}

// RunImport runs the command import of the runner, and returns the exit status.
func RunImport(args []string, in io.Reader, out, fault io.Writer) int {
	c := Import{Program: runner}
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	c.Define(flags)
	flags.StringVar(&c.Namespace, "namespace", "", "the namespace `NAME` of the manifests (default: none)")
	sources, status, ok := importUsage.parse(flags, args, out, fault)
	if !ok {
		return status
	}
	if problem := c.Problem(sources); problem != "" {
		return importUsage.refuse(flags, problem, fault)
	}
	return c.Run(sources, in, out, fault)
}

// importFiles imports the files. It writes nothing if a file has a fault.
func (c *Import) importFiles(sources []string, in io.Reader, out, fault io.Writer) (int, error) {
	opts := &draft.Options{Local: c.local, Namespace: c.Namespace, Names: map[string]bool{}}
	if c.files != "" {
		root, err := os.OpenRoot(c.files)
		if err != nil {
			return 0, fmt.Errorf("the directory of --files: %w", err)
		}
		defer func() { _ = root.Close() }()
		opts.ReadFile = func(path string) ([]byte, error) {
			return readBelow(root, strings.TrimPrefix(filepath.Clean("/"+path), "/"))
		}
	}
	results := make([]*importer.Result, len(sources))
	for i, source := range sources {
		data, err := read(source, in)
		if err != nil {
			return 0, err
		}
		result, err := importer.Import(data, c.from, opts)
		if err != nil {
			return 0, inFile(source, err)
		}
		results[i] = result
	}
	if err := c.write(sources, results, out); err != nil {
		return 0, err
	}
	return c.report(sources, results, fault), nil
}

// maxSecret is the largest size of a certificate or key, in bytes. A Secret of Kubernetes has no more.
const maxSecret = 1 << 20

// readBelow reads a file below a directory. The configuration chooses the name: the file may be a device or a pipe,
// which may have no end.
func readBelow(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("%s has more than %d bytes; a Secret has no room for it", name, maxSecret)
	}
	return data, err
}

// inFile names the file in each line of an error.
func inFile(source string, err error) error {
	return errors.New(source + ": " + strings.ReplaceAll(err.Error(), "\n", "\n"+source+": "))
}

// write writes the manifests of the bridges and their Secrets into files and to out.
func (c *Import) write(sources []string, results []*importer.Result, out io.Writer) error {
	var files []newFile
	var manifests [][]byte
	for i, result := range results {
		for _, b := range result.Bridges {
			if b.Has(draft.Refused) {
				continue
			}
			text, err := importer.YAML(b, sources[i], c.secrets == "")
			if err != nil {
				return err
			}
			if c.secrets != "" {
				files = append(files, c.secretsOf(b)...)
			}
			if c.output == standardOutput {
				manifests = append(manifests, text)
			} else {
				files = append(files, newFile{c.fileOf(b), text})
			}
		}
	}
	if err := writeFiles(files, c.overwrite); err != nil {
		return err
	}
	_, err := out.Write(bytes.Join(manifests, []byte("---\n")))
	return err
}

// secretsOf returns the files with the values of the Secrets of a bridge.
func (c *Import) secretsOf(b *draft.Bridge) []newFile {
	var out []newFile
	for _, name := range slices.Sorted(maps.Keys(b.Secrets)) {
		for _, key := range slices.Sorted(maps.Keys(b.Secrets[name])) {
			out = append(out, newFile{filepath.Join(c.secrets, name, key), []byte(b.Secrets[name][key])})
		}
	}
	return out
}

// fileOf returns the path of the file with the manifest of a bridge.
func (c *Import) fileOf(b *draft.Bridge) string {
	return filepath.Join(c.output, b.Manifest.Name+".yaml")
}

// report writes the findings, the names of the files with manifests and the summaries to fault, and returns
// the exit status.
func (c *Import) report(sources []string, results []*importer.Result, fault io.Writer) int {
	status := Done
	for i, result := range results {
		s := summary{source: sources[i]}
		s.findings(fault, result.Findings)
		for _, b := range result.Bridges {
			s.findings(fault, b.Findings)
			if b.Has(draft.Refused) {
				s.refused++
				continue
			}
			s.imported++
			if c.output != standardOutput {
				_, _ = fmt.Fprintf(fault, "%s: line %d: the bridge is written to %s\n", sources[i], b.Line, c.fileOf(b))
			}
		}
		s.write(fault, result.Format)
		if s.refused+s.leftOut+s.changed > 0 {
			status = Partly
		}
	}
	return status
}

// summary counts the results of a file.
type summary struct {
	source                                       string
	imported, refused, leftOut, changed, remarks int
}

// findings writes findings, one in a line, and counts them.
func (s *summary) findings(out io.Writer, findings []draft.Finding) {
	for _, f := range findings {
		switch f.Kind {
		case draft.LeftOut:
			s.leftOut++
		case draft.Changed:
			s.changed++
		case draft.Note:
			s.remarks++
		case draft.Refused:
		}
		_, _ = fmt.Fprintf(out, "%s: %s\n", s.source, f)
	}
}

func (s *summary) write(out io.Writer, format string) {
	_, _ = fmt.Fprintf(out, "%s (%s): bridges imported: %d, not imported: %d; keys left out: %d, changed: %d; notes: %d\n",
		s.source, format, s.imported, s.refused, s.leftOut, s.changed, s.remarks)
}
