// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package importer turns the bridge configurations of other brokers into MQTTBridge manifests and
// their Secrets.
//
// It promises that each key of a bridge is either imported, or named in a finding with its line and
// the reason; that a fault in the configuration is an error with its line and column; and that each
// manifest is valid. It opens no connection. It reads only the files that the caller permits.
package importer

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/emqx"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/hivemqedge"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/mosquitto"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/nanomq"
)

// maxBytes is the largest size of a configuration, in bytes.
const maxBytes = 8 << 20

// format is the configuration format of a broker.
type format struct {
	recognize  func([]byte) bool
	importFile func([]byte, *draft.Options) ([]*draft.Bridge, []draft.Finding, error)
}

var formats = map[string]format{
	"nanomq":      {nanomq.Recognize, nanomq.Import},
	"mosquitto":   {mosquitto.Recognize, mosquitto.Import},
	"emqx":        {emqx.Recognize, emqx.Import},
	"hivemq-edge": {hivemqedge.Recognize, hivemqedge.Import},
}

// Formats returns the names of the formats.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Result is an imported configuration.
type Result struct {
	Format  string
	Bridges []*draft.Bridge
	// Findings are the findings that belong to no bridge.
	Findings []draft.Finding
}

// Import imports a configuration. from is the name of its format; if it is empty, the contents
// decide.
func Import(data []byte, from string, opts *draft.Options) (*Result, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("the file has %d bytes, more than the limit of %d bytes; import a file that contains the configuration only", len(data), maxBytes)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("line %d: the file is not UTF-8; convert it, for example with iconv -f latin1 -t utf8", invalidLine(data))
	}
	if from == "" {
		var err error
		if from, err = Guess(data); err != nil {
			return nil, err
		}
	}
	f, ok := formats[from]
	if !ok {
		return nil, fmt.Errorf("unknown format %q; the formats are %s", from, strings.Join(Formats(), ", "))
	}
	bridges, findings, err := f.importFile(data, opts)
	if err == nil && len(bridges)+len(findings) == 0 {
		err = errors.New("the file has no bridges")
	}
	if err != nil {
		if likely, unknown := Guess(data); unknown == nil && likely != from {
			err = fmt.Errorf("%w; the file looks like a configuration of %s: import it by --from %s", err, likely, likely)
		}
		return nil, err
	}
	return &Result{Format: from, Bridges: bridges, Findings: findings}, nil
}

// invalidLine returns the first line that is not UTF-8.
func invalidLine(data []byte) int {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if !utf8.Valid(line) {
			break
		}
	}
	return n
}

// Guess returns the format of a configuration.
func Guess(data []byte) (string, error) {
	var found []string
	for _, name := range Formats() {
		if formats[name].recognize(data) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("the file has no bridge of a known format; name its format: --from %s", strings.Join(Formats(), "|"))
	}
	return "", fmt.Errorf("the file may be a configuration of %s; name its format: --from %s", strings.Join(found, " or "), strings.Join(found, "|"))
}
