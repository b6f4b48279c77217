// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package check is the dry run of a bridge: it validates manifests as the API server does, and
// finds out whether the bridge could use its servers.
//
// It promises to leave a running bridge alone: it connects with client identifiers of its own, in
// clean sessions, makes no subscription, and publishes nothing unless [Options.Publish] is set. It
// connects with the same code and the same settings as the runner.
//
// Package config validates, and package session connects. A program that wraps the check, such as
// a plugin of kubectl, needs only this package.
package check

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
)

// Options are the settings of a check.
type Options struct {
	// Secrets is the directory with the Secrets and ConfigMaps of the bridge. If it is empty and
	// Connect is not set, they are not checked.
	Secrets string
	// Connect makes the check connect to every server.
	Connect bool
	// Publish is the topic of the message to publish on every server. It is empty if none is to be
	// published. It requires Connect.
	Publish string
	// ClientID is the client identifier of the connections, for servers that accept only known
	// identifiers. If it is empty, each connection has a random one. The check does not connect to a
	// server with an identifier that the manifest gives to the bridge.
	ClientID string
}

// Add checks the manifests in the contents of a file, and adds their results to the report. Objects
// of other APIs in the file are not checked.
func (r *Report) Add(ctx context.Context, file string, data []byte, o Options) {
	if r.Result == "" {
		r.Result = Good
	}
	documents, err := config.Documents(data)
	if err != nil {
		r.add(Bridge{File: file, Errors: []Error{{Message: err.Error()}}})
	}
	for i := range documents {
		r.add(checkDocument(ctx, file, &documents[i], o))
	}
}

func (r *Report) add(b Bridge) {
	r.Bridges = append(r.Bridges, b)
	switch {
	case !b.Valid:
		r.Result = Invalid
	case r.Result == Good && !b.usable():
		r.Result = ServerUnusable
	}
}

// usable reports whether the bridge can use all servers that were checked.
func (b *Bridge) usable() bool {
	for i := range b.Servers {
		if !b.Servers[i].Usable {
			return false
		}
	}
	return true
}

func checkDocument(ctx context.Context, file string, d *config.Document, o Options) Bridge {
	b := Bridge{File: file, Line: d.Line()}
	m, problems, err := d.Check()
	if err != nil {
		b.Errors = []Error{{Line: cmp.Or(lineIn(err), d.Line()), Message: err.Error()}}
		return b
	}
	for _, p := range problems {
		b.Errors = append(b.Errors, Error{Line: d.LineOf(p.Field), Field: p.Field, Message: p.ErrorBody()})
	}
	if len(b.Errors) > 0 {
		slices.SortStableFunc(b.Errors, func(a, b Error) int { return a.Line - b.Line })
		return b
	}
	b.Valid, b.Namespace, b.Name = true, m.Namespace, m.Name
	if o.Connect || o.Secrets != "" {
		if b.Servers, err = checkServers(ctx, m, o); err != nil { // a valid manifest can be resolved
			b.Valid, b.Errors = false, []Error{{Line: d.Line(), Message: err.Error()}}
		}
	}
	return b
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// lineIn returns the line that an error of the YAML parser names. It is 0 if there is none.
func lineIn(err error) int {
	named := yamlLine.FindStringSubmatch(err.Error())
	if named == nil {
		return 0
	}
	line, _ := strconv.Atoi(named[1]) // the expression allows digits only
	return line
}
