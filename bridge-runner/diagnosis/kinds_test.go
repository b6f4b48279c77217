// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

// kindsIn returns the values of the constants of type Kind in a file.
func kindsIn(t *testing.T, path string) (kinds []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, value := range spec.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value) //nolint:forcetypeassert // all constants are strings
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, text)
		}
		return true
	})
	slices.Sort(kinds)
	if len(slices.Compact(slices.Clone(kinds))) != len(kinds) {
		t.Fatalf("two kinds of %s have the same value: %q", path, kinds)
	}
	return kinds
}

func TestTables_EachKind_HasOneRow(t *testing.T) {
	var got []string
	for kind := range transportTable {
		got = append(got, string(kind))
	}
	slices.Sort(got)
	if want := kindsIn(t, "../transport/kinds.go"); !slices.Equal(got, want) {
		t.Errorf("the table of package transport has %q\nwant %q", got, want)
	}
	got = []string{string(session.BridgeFlagSuspected), string(session.SubscribingFailed), string(session.SubscriptionsRefused), string(session.UnsubscriptionsRefused)}
	for kind := range sessionTable {
		got = append(got, string(kind))
	}
	slices.Sort(got)
	if want := kindsIn(t, "../session/kinds.go"); !slices.Equal(got, want) {
		t.Errorf("the table of package session has %q\nwant %q", got, want)
	}
}

// A row with an unknown placeholder would show it to users.
func TestTables_EachRow_HasReasonAndOnlyKnownPlaceholders(t *testing.T) {
	check := func(what string, p *Problem) {
		t.Helper()
		if p.Reason == "" || p.Message == "" || strings.ContainsAny(p.Message, "{}") {
			t.Errorf("%s: %s: %s", what, p.Reason, p.Message)
		}
		// The runner and the command check also run outside of clusters.
		if strings.Contains(p.Message, "the cluster") || strings.Contains(p.Message, "node") {
			t.Errorf("%s: the message assumes a cluster: %s", what, p.Message)
		}
	}
	for kind := range maps.Keys(transportTable) {
		check(string(kind), Of(&transport.Error{Kind: kind}))
	}
	for kind := range maps.Keys(sessionTable) {
		check(string(kind), Of(&session.Error{Kind: kind, Detail: "x"}))
		for code := range 256 {
			check(string(kind)+" "+strconv.Itoa(code), Of(&session.Error{Kind: kind, Code: byte(code), Detail: "x"}))
		}
	}
}
