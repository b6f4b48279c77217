// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
)

const importUsage = `usage: bridge-runner import [flags] FILE...

Turns bridge configurations of other brokers into MQTTBridge manifests and Secrets. It names each
key that has no counterpart, with its line and the reason. The FILE - is the standard input.

  --from FORMAT         emqx, hivemq-edge, mosquitto or nanomq. Default: the contents decide
  --local URL           address of the broker that the configuration belongs to, such as
                        mqtt://nanomq.plant.svc:1883. Default: localhost, with a note
  --namespace NAME      namespace of the manifests. Default: none
  --files DIR           read the certificates and keys that the configuration names, below DIR: /
                        on the machine of the broker. Default: read none, with a note
  --secrets DIR         write the values of Secrets into files below DIR, for bridge-runner --secrets,
                        and no Secrets. Default: write Secrets for Kubernetes
  -o DIR                write one file for each bridge into DIR. Default: -, the standard output

Exit status: 0 complete, 1 error, 2 wrong arguments, 3 something has no counterpart.
`

// The exit statuses of the command import.
const (
	importComplete = 0
	importFailed   = 1
	importUsageErr = 2
	importPartly   = 3
)

// importOptions are the arguments of the command import.
type importOptions struct {
	from, local, namespace, files, secrets, output string
	sources                                        []string
}

// parseImport parses the arguments. Flags may follow files.
func parseImport(args []string, errOut io.Writer) (*importOptions, error) {
	o := &importOptions{}
	flags := flag.NewFlagSet("import", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { _, _ = fmt.Fprint(errOut, importUsage) }
	flags.StringVar(&o.from, "from", "", "")
	flags.StringVar(&o.local, "local", "", "")
	flags.StringVar(&o.namespace, "namespace", "", "")
	flags.StringVar(&o.files, "files", "", "")
	flags.StringVar(&o.secrets, "secrets", "", "")
	flags.StringVar(&o.output, "o", "-", "")
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		o.sources, args = append(o.sources, args[0]), args[1:]
	}
	if len(o.sources) == 0 {
		_, _ = fmt.Fprintln(errOut, "bridge-runner import: name at least one FILE")
		flags.Usage()
		return nil, errors.New("no file")
	}
	return o, nil
}

// runImport runs the command import, and returns its exit status.
func runImport(args []string, in io.Reader, out, errOut io.Writer) int {
	o, err := parseImport(args, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return importComplete
	case err != nil:
		return importUsageErr
	}
	status, err := importFiles(o, in, out, errOut)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "bridge-runner import:", err)
		return importFailed
	}
	return status
}

// importFiles imports the files. It writes nothing if a file has a fault.
func importFiles(o *importOptions, in io.Reader, out, errOut io.Writer) (int, error) {
	opts := &draft.Options{Local: o.local, Namespace: o.namespace, Names: map[string]bool{}}
	if o.files != "" {
		root, err := os.OpenRoot(o.files)
		if err != nil {
			return 0, fmt.Errorf("the directory of --files: %w", err)
		}
		defer func() { _ = root.Close() }()
		opts.ReadFile = func(path string) ([]byte, error) {
			return root.ReadFile(strings.TrimPrefix(filepath.Clean("/"+path), "/"))
		}
	}
	results := make([]*importer.Result, len(o.sources))
	for i, source := range o.sources {
		data, err := readSource(source, in)
		if err != nil {
			return 0, err
		}
		result, err := importer.Import(data, o.from, opts)
		if err != nil {
			return 0, inFile(source, err)
		}
		if len(result.Bridges)+len(result.Findings) == 0 {
			return 0, fmt.Errorf("%s: the file has no bridges", source)
		}
		results[i] = result
	}
	status := importComplete
	w := &importWriter{importOptions: o, out: out}
	for i, result := range results {
		s := summary{source: o.sources[i]}
		s.findings(errOut, result.Findings)
		for _, b := range result.Bridges {
			s.findings(errOut, b.Findings)
			if b.Has(draft.Refused) {
				s.refused++
				continue
			}
			s.imported++
			if err := w.bridge(b, o.sources[i]); err != nil {
				return 0, err
			}
		}
		s.write(errOut, result.Format)
		if s.refused+s.leftOut+s.changed > 0 {
			status = importPartly
		}
	}
	return status, nil
}

// inFile names the file in each line of an error.
func inFile(source string, err error) error {
	return errors.New(source + ": " + strings.ReplaceAll(err.Error(), "\n", "\n"+source+": "))
}

func readSource(source string, in io.Reader) ([]byte, error) {
	if source == "-" {
		data, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("reading the standard input: %w", err)
		}
		return data, nil
	}
	return os.ReadFile(source) //nolint:gosec // the user names the file
}

// importWriter writes imported bridges.
type importWriter struct {
	*importOptions
	out     io.Writer
	written bool // whether out has a manifest
}

// bridge writes the manifest of a bridge and its Secrets.
func (w *importWriter) bridge(b *draft.Bridge, source string) error {
	text, err := importer.YAML(b, source, w.secrets == "")
	if err != nil {
		return err
	}
	for name, values := range b.Secrets {
		if w.secrets == "" {
			break
		}
		for key, value := range values {
			if err := createFile(filepath.Join(w.secrets, name, key), []byte(value)); err != nil {
				return err
			}
		}
	}
	if w.output != "-" {
		return createFile(filepath.Join(w.output, b.Manifest.Name+".yaml"), text)
	}
	if w.written {
		text = append([]byte("---\n"), text...)
	}
	w.written = true
	_, err = w.out.Write(text)
	return err
}

// createFile writes a file that does not exist yet. It may hold secrets, so that only the user may
// read it.
func createFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("creating a directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the user names the directory
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("the file %s exists; remove it, or choose another directory", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
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
