// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// between returns a bridge between the servers with these names.
func between(name string, local, remote []string) *v1alpha1.MQTTBridge {
	b := newBridge("default", name)
	set := func(s *v1alpha1.Side, hosts []string) {
		s.Primary.URL, s.Backups = "mqtt://"+hosts[0]+":1883", nil
		for _, host := range hosts[1:] {
			s.Backups = append(s.Backups, v1alpha1.Server{URL: "mqtt://" + host + ":1883"})
		}
	}
	set(&b.Spec.Local, local)
	set(&b.Spec.Remote, remote)
	return b
}

func names(keys []client.ObjectKey) []string {
	var out []string
	for _, key := range keys {
		out = append(out, key.Name)
	}
	slices.Sort(out)
	return out
}

func TestServerIndex_Sharing_FindsBridgesWithAPairOfServersInCommon(t *testing.T) {
	x := &serverIndex{}
	for _, b := range []*v1alpha1.MQTTBridge{
		between("same", []string{"a"}, []string{"b"}),
		between("reversed", []string{"b"}, []string{"a"}),
		between("one-side", []string{"a"}, []string{"c"}),
		between("by-backups", []string{"d", "a"}, []string{"e", "b"}),
		between("other-servers", []string{"f"}, []string{"g"}),
	} {
		x.update(nil, b)
	}
	for _, c := range []struct {
		name   string
		bridge *v1alpha1.MQTTBridge
		want   []string
	}{
		{"one server on each side", between("new", []string{"a"}, []string{"b"}), []string{"by-backups", "reversed", "same"}},
		{"no pair", between("new", []string{"a"}, []string{"g"}), nil},
		{"several pairs", between("new", []string{"a", "f"}, []string{"c", "g"}), []string{"one-side", "other-servers"}},
		{"itself", between("same", []string{"a"}, []string{"b"}), []string{"by-backups", "reversed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := x.sharing(pairsOf(c.bridge), client.ObjectKeyFromObject(c.bridge), 0)
			if !slices.Equal(names(got), c.want) {
				t.Errorf("%s; want %s", names(got), c.want)
			}
		})
	}
}

func TestServerIndex_ChangeOfOneBridge_IncreasesTheVersionOfItsPairs(t *testing.T) {
	x := &serverIndex{}
	b, other, distant := between("b", []string{"a"}, []string{"b"}), between("other", []string{"a"}, []string{"b"}), between("distant", []string{"f"}, []string{"g"})
	version := func() uint64 {
		_, version := x.sharing(pairsOf(b), client.ObjectKeyFromObject(b), 0)
		return version
	}
	x.update(nil, b)
	last := version()
	moved := between("other", []string{"a"}, []string{"c"})
	for _, step := range []struct {
		name     string
		from, to *v1alpha1.MQTTBridge
		changes  bool
	}{
		{"another bridge is created", nil, other, true},
		{"a bridge between other servers is created", nil, distant, false},
		{"the other bridge gets another server", other, moved, true},
		{"it changes again", moved, moved, false},
		{"it comes back", moved, other, true},
		{"it is deleted", other, nil, true},
	} {
		x.update(step.from, step.to)
		if got := version(); (got > last) != step.changes || got < last {
			t.Errorf("%s: the version was %d and is %d; want a change: %t", step.name, last, got, step.changes)
		}
		last = version()
	}
	if others, known := x.sharing(pairsOf(b), client.ObjectKeyFromObject(b), last); len(others) != 0 || known != last {
		t.Errorf("%v, %d; want no others and version %d", others, known, last)
	}
}

func TestServerIndex_AllForwardInOneDirection_AffectNoOthers(t *testing.T) {
	x := &serverIndex{}
	for i := range 100 {
		if affected := x.update(nil, between(fmt.Sprint("plant-", i), []string{"a"}, []string{"b"})); len(affected) > 0 {
			t.Fatalf("bridge %d affects %d bridges; want none", i, len(affected))
		}
	}
	back := between("back", []string{"b"}, []string{"a"})
	if affected := x.update(nil, back); len(affected) != 100 {
		t.Errorf("a bridge in the other direction affects %d bridges; want 100", len(affected))
	}
	if affected := x.update(back, nil); len(affected) != 100 {
		t.Errorf("its deletion affects %d bridges; want 100", len(affected))
	}
	both := between("both", []string{"a"}, []string{"b"})
	both.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: "commands/#"}}
	if affected := x.update(nil, both); len(affected) != 100 {
		t.Errorf("a bridge with both directions affects %d bridges; want 100", len(affected))
	}
	if len(x.flows) != 2 || len(x.pairs) != 1 {
		t.Errorf("the index has %d servers and %d pairs; want 2 and 1", len(x.flows), len(x.pairs))
	}
}
