// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// health is how well a bridge works. The worst is the least.
type health int

const (
	notForwarding health = iota
	impaired
	impairedStandby
	standby
	forwarding
)

// words names the health for users, and classes for the style sheet.
var (
	words = map[health]string{
		notForwarding:   "Not forwarding",
		impaired:        "Forwarding, with problems",
		impairedStandby: "Standby, with problems",
		standby:         "Standby",
		forwarding:      "Forwarding",
	}
	classes = map[health]string{notForwarding: "bad", impaired: "warn", impairedStandby: "warn", standby: "idle", forwarding: "good"}
)

// health returns the health of a bridge, and its problems, the most important first.
func (b *Bridge) health() (h health, problems []string) {
	if b.Status == nil {
		return notForwarding, []string{b.Error}
	}
	problems = b.problems()
	ready := b.ready()
	switch trouble := len(problems) > 0; {
	case ready.Reason == v1alpha1.ReasonStandby && trouble:
		return impairedStandby, problems
	case ready.Reason == v1alpha1.ReasonStandby:
		return standby, nil
	case ready.Status == metav1.ConditionTrue && trouble:
		return impaired, problems
	case ready.Status == metav1.ConditionTrue:
		return forwarding, nil
	}
	return notForwarding, append([]string{ready.Message}, problems...)
}

// ready returns the condition Ready.
func (b *Bridge) ready() metav1.Condition {
	for _, c := range b.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c
		}
	}
	return metav1.Condition{}
}

// refused returns why the runner cannot apply the latest manifest. It is empty if it can.
func refused(s *v1alpha1.MQTTBridgeStatus) string {
	if len(s.Runners) == 0 || s.Runners[0].Refused == nil {
		return ""
	}
	return s.Runners[0].Refused.Message
}

// problems returns the problems of a bridge that do not stop it.
func (b *Bridge) problems() (out []string) {
	add := func(format string, values ...any) { out = append(out, fmt.Sprintf(format, values...)) }
	message := refused(b.Status)
	if message == "" {
		message = b.Error
	}
	if message != "" {
		add("the changed manifest is refused: %s", message)
	}
	for _, d := range b.directions() {
		switch {
		case d.traffic.Blocked:
			add("a message that no server accepts blocks the direction from %s", d.label)
		case d.backlog != nil && (d.backlog.State == v1alpha1.BacklogFull || d.backlog.State == v1alpha1.BacklogFailed):
			add("the buffer on disk from %s is %s", d.label, d.backlog.State)
		}
	}
	for _, s := range b.sides() {
		if s.status == nil {
			continue
		}
		for _, short := range s.status.Shortfalls {
			add("%s: %s: %s", s.name, short.Reason, short.Message)
		}
		if r := s.status.RequestedSwitch; r != nil && r.State == v1alpha1.SwitchRefused {
			add("%s: the requested switch to %s is refused", s.name, r.Server)
		}
		for _, server := range s.status.FailedServers() {
			add("%s: %s has failed%s", s.name, server.Name, reasonOf(&server))
		}
	}
	return out
}

func reasonOf(s *v1alpha1.ServerStatus) string {
	if s.LastError == nil {
		return ""
	}
	return ": " + s.LastError.Reason
}
