// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/fleet"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestStatus_ClusterWithoutTheAPI_SaysHowToInstallIt(t *testing.T) {
	empty := httptest.NewServer(http.NotFoundHandler())
	defer empty.Close()
	plugin(t, "status", "-n", "plant", "--server", empty.URL).want(t, failed, "the CRD mqttbridges.mqttbridge.io is not installed; install the operator")
	plugin(t, "status", "-n", "plant", "--server", "http://"+mqtttest.FreeAddress(t)).want(t, failed, "connection refused")
	plugin(t, "status", "--kubeconfig", "missing").want(t, failed, "missing")
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
		"3 more runners do not answer",
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
