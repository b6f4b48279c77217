// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A Bundle is the collected files, before their secrets are removed.
type Bundle struct {
	now time.Time
	// names are names of objects, which remain in texts.
	names   []string
	objects []object
	texts   []text
	// problems say which files are missing, and why.
	problems []string
}

type object struct {
	path  string
	value any
}

type text struct{ path, content string }

// Problems returns which information is missing, and why.
func (b *Bundle) Problems() []string { return b.problems }

func (b *Bundle) addObject(path string, value any) {
	b.objects = append(b.objects, object{path, value})
}

func (b *Bundle) addText(path, content string) { b.texts = append(b.texts, text{path, content}) }

// miss records that a file is missing. An object that does not exist is no problem: most bridges have
// no Lease and no claim.
func (b *Bundle) miss(path string, err error) {
	if apierrors.IsNotFound(err) {
		return
	}
	if problem := fmt.Sprintf("%s: %v", path, err); !slices.Contains(b.problems, problem) {
		b.problems = append(b.problems, problem)
	}
}

// Write removes the secrets and writes the bundle as a compressed tar archive. All files are in the
// directory root.
func (b *Bundle) Write(out io.Writer, root string) error {
	files, err := b.masked()
	if err != nil {
		return err
	}
	compressed := gzip.NewWriter(out)
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{Name: root + "/" + f.path, Mode: 0o600, Size: int64(len(f.content)), ModTime: b.now, Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, f.content); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}

// masked returns all files without secrets, in the order of their names. The values of all objects are
// learned first, because each text and each object may repeat them.
func (b *Bundle) masked() ([]text, error) {
	m := NewMasker(b.names...)
	masked := make([]map[string]any, len(b.objects))
	for i, o := range b.objects {
		var err error
		if masked[i], err = m.Masked(o.value); err != nil {
			return nil, fmt.Errorf("%s: %w", o.path, err)
		}
	}
	files := make([]text, 0, len(b.objects)+len(b.texts)+1)
	for i, o := range b.objects {
		content, err := m.YAML(masked[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.path, err)
		}
		files = append(files, text{o.path, content})
	}
	files = append(files, b.texts...)
	files = append(files, text{"missing.txt", missing(b.problems)})
	for i := range files {
		files[i].content = m.Text(files[i].content)
	}
	slices.SortFunc(files, func(a, b text) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

func missing(problems []string) string {
	if len(problems) == 0 {
		return "Nothing is missing.\n"
	}
	return strings.Join(problems, "\n") + "\n"
}
