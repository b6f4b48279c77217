// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
)

func TestRequest_Changes_AreNewRequests(t *testing.T) {
	a, b := &Request{Server: "a"}, &Request{Server: "b"}
	forced, later := &Request{Server: "b", Force: true}, &Request{Server: "b", Generation: 2}
	for _, c := range []struct {
		name     string
		requests []*Request // the first is read before the others are made
		isNew    bool
	}{
		{"the same", []*Request{b, {Server: "b"}}, false},
		{"the same of a later generation", []*Request{b, later}, false},
		{"another server", []*Request{b, a}, true},
		{"with force", []*Request{b, forced}, true},
		{"without force", []*Request{forced, b}, true},
		{"removed", []*Request{b, nil}, true},
		{"removed and set again", []*Request{b, nil, later}, true},
		{"set and removed", []*Request{nil, b, nil}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newSide(t, 2)
			x.Apply(x.Settings)
			x.mustRequest(c.requests[0])
			_, read := x.mailbox.latest()
			for _, r := range c.requests[1:] {
				x.mustRequest(r)
			}
			_, latest := x.mailbox.latest()
			if isNew := latest != read; isNew != c.isNew {
				t.Errorf("is it a new request? %t; want %t", isNew, c.isNew)
			}
		})
	}
}

func TestRequest_UnknownServer_KeepsPreviousRequest(t *testing.T) {
	x := newSide(t, 2)
	x.Apply(x.Settings)
	x.request("b")
	_, before := x.mailbox.latest()
	const want = `no server of this side has the name "c"; its servers are a, b`
	if err := x.Request(&Request{Server: "c"}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if _, got := x.mailbox.latest(); got != before {
		t.Errorf("the request is %+v", got)
	}
}

func TestRequest_AfterRefusal_IsAnsweredWithItsGeneration(t *testing.T) {
	x := newSide(t, 2)
	x.run()
	x.connect(0)
	x.want("connected 0")
	x.mustRequest(&Request{Server: "b", Generation: 3})
	_ = x.accept(1, probeID).Close()
	x.want("b in 3: Pending", "b in 3: Refused")
	x.mustRequest(nil)
	x.mustRequest(&Request{Server: "b", Generation: 5})
	pass(x.accept(1, probeID))
	c := x.connect(1)
	x.want("b in 5: Pending", "switched 1", "b in 5: Done")
	_ = c.Close()
}

func TestDescribeAnswer_Answers_GiveStateAndMessage(t *testing.T) {
	course := Switch{Interruption: 12 * time.Millisecond, Drained: 3, Resent: 4}.describe()
	for _, c := range []struct {
		answer  failover.Answer
		details string
		state   v1alpha1.SwitchState
		message string
	}{
		{failover.Pending, "ignored", v1alpha1.SwitchPending, ""},
		{failover.InUse, "ignored", v1alpha1.SwitchDone, "the server is in use"},
		{
			failover.Switched, course, v1alpha1.SwitchDone,
			"no messages were published for 12 ms; the previous server acknowledged 3 messages in flight, and the bridge sends 4 messages again to the new server",
		},
		{
			failover.ProbeFailed, "timeout", v1alpha1.SwitchRefused,
			"the probe of the server failed, so the bridge does not switch (to switch without a probe, set preferredServer.force to true): timeout",
		},
		{
			failover.ConnectFailed, "timeout", v1alpha1.SwitchRefused,
			"the connection to the server failed, so the bridge does not switch (to repeat the request, remove preferredServer and set it again): timeout",
		},
	} {
		if state, message := describeAnswer(c.answer, c.details); state != c.state || message != c.message {
			t.Errorf("answer %d gives %s, %q; want %s, %q", c.answer, state, message, c.state, c.message)
		}
	}
}
