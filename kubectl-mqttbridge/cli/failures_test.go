// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/fleet"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestStatus_ClusterWithoutTheAPI_SaysHowToInstallIt(t *testing.T) {
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	plugin(t, "status", "-n", "plant", "--server", empty.URL).want(t, failed, "the CRD mqttbridges.mqttbridge.io is not installed; install the operator")
	plugin(t, "status", "-n", "plant", "--server", "http://"+mqtttest.FreeAddress(t)).want(t, failed, "connection refused", "\nThe API server cannot be reached: check the context of kubectl, or name another one by --context or --kubeconfig.\n")
	plugin(t, "status", "--kubeconfig", "missing").want(t, failed, "missing")
}

// Webhooks choose the words of a refusal.
func TestCommands_AnswerThatControlsATerminal_IsEscaped(t *testing.T) {
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "message": "no\u001b[2J\u202e\nfor you", "code": 403}`)
	}))
	defer hostile.Close()
	for _, command := range []string{"status b", "suspend b", "logs b", "events", "report --output=-", "check b"} {
		r := plugin(t, append(strings.Fields(command), "-n", "plant", "--server", hostile.URL)...)
		if strings.ContainsAny(r.out+r.err, "\x1b\u202e") || !strings.Contains(r.err, `\x1b[2J\u202e`+"\nfor you") {
			t.Errorf("%s: the output %q does not have the answer with escapes", command, r.out+r.err)
		}
	}
}

// switch, suspend and the other commands with a NAME read the bridge first.
func TestCommandsWithName_ClusterWithoutTheAPI_SayHowToInstallIt(t *testing.T) {
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	for _, command := range []string{"status b", "suspend b", "switch b s", "logs b", "check b"} {
		args := append(strings.Fields(command), "-n", "plant", "--server", empty.URL)
		plugin(t, args...).want(t, failed, "the CRD mqttbridges.mqttbridge.io is not installed; install the operator")
	}
}

// An API server that restarts ends the watch, and then refuses it for a time.
func TestEvents_WatchAndOutageOfTheAPIServer_Continue(t *testing.T) {
	const (
		list  = `{"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": []}`
		event = `{"type": "ADDED", "object": {"kind": "Event", "apiVersion": "v1", "metadata": {"name": "e", "uid": "u", "resourceVersion": "7"}, ` +
			`"involvedObject": {"kind": "MQTTBridge", "name": "b"}, "type": "Normal", "reason": "FailedOver", "message": "after the outage"}}`
	)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var watches atomic.Int32
	restarting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("watch") == "":
			_, _ = io.WriteString(w, list)
		case watches.Add(1) == 1: // the watch ends
		case watches.Load() <= 3:
			http.Error(w, "starting", http.StatusInternalServerError)
		case watches.Load() == 4:
			_, _ = io.WriteString(w, event)
		default:
			cancel()
		}
	}))
	defer restarting.Close()
	r := pluginWith(t, ctx, "", "events", "--watch", "-n", "plant", "--server", restarting.URL)
	r.want(t, done, "after the outage", "note: ")
	if n := strings.Count(r.err, "note: "); n != 1 {
		t.Errorf("%d notes about one outage:\n%s", n, r.err)
	}
}

// A fleet in which many runners do not answer gets a few notes, and not one for each bridge.
func TestNotes_ManyFailures_AreSummarized(t *testing.T) {
	const bridges = 10
	view, failures := &fleet.View{}, []error{}
	for i := range bridges {
		view.Bridges = append(view.Bridges, fleet.Bridge{Namespace: "n", Name: fmt.Sprintf("b%d", i)})
		var failure error = &cluster.MissingRight{Verb: "get", Resource: "pods/proxy", Namespace: "n"}
		switch {
		case i >= 4:
			failure = errors.New("no answer")
		case i == 3:
			failure = nil
		}
		failures = append(failures, failure)
	}
	got := notes(view, failures, bridges)
	want := []string{
		"no rates and backlog: the right to get pods/proxy in the namespace n is missing",
		"no rates and backlog of n/b4: no answer", "no rates and backlog of n/b5: no answer", "no rates and backlog of n/b6: no answer",
		"no answer of 3 more runners",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The runners of a large fleet are not all asked: each answer passes through the API server.
func TestStatus_OfALargeFleet_AsksTheBridgesWithTheMostTrouble(t *testing.T) {
	view := &fleet.View{Bridges: make([]fleet.Bridge, maxAsked+1)}
	got := notes(view, make([]error, maxAsked+1), maxAsked)
	if len(got) != 1 || !strings.Contains(got[0], fmt.Sprintf("the first %d bridges", maxAsked)) {
		t.Errorf("the notes are %q", got)
	}
}
