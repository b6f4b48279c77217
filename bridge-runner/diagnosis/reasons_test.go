// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"errors"
	"slices"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/transport"
)

func TestServerReasons_EachFailure_HasAReasonOfTheList(t *testing.T) {
	reasons := ServerReasons()
	check := func(p *Problem) {
		t.Helper()
		if !slices.Contains(reasons, p.Reason) {
			t.Errorf("%s: %s", p.Reason, p.Message)
		}
	}
	for kind := range transportTable {
		check(Of(&transport.Error{Kind: kind}))
	}
	for kind := range sessionTable {
		for code := range 256 {
			if kind != session.PublishRefused {
				check(Of(&session.Error{Kind: kind, Code: byte(code)}))
			}
		}
	}
	check(Of(&session.Error{Kind: session.SubscriptionsRefused}))
	check(ReferenceMissing(errors.New("no such file")))
	check(EchoReceived)
	check(Of(nil))
	check(Of(errors.New("unknown")))
	if slices.Contains(reasons, v1alpha1.ReasonPublishRefused) {
		t.Error("a refused message does not end the session")
	}
}
