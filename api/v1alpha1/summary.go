// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReadyCondition returns the Ready condition that follows from the runner's report alone,
// without its times. The runner reports it together with the sides, so that Ready is never
// True beside a side without a server, or of a runner that stops. The operator derives the
// same condition, but also checks the runner's pod and the generation.
func ReadyCondition(runner *RunnerStatus, local, remote *SideStatus) metav1.Condition {
	c := metav1.Condition{Type: ConditionReady, Status: metav1.ConditionFalse, Reason: ReasonNotConnected}
	with := ""
	if runner != nil {
		if c.ObservedGeneration = runner.Generation; runner.Generation > 0 {
			with = fmt.Sprintf(" with generation %d", runner.Generation)
		}
	}
	l, r := local.ActiveServer(), remote.ActiveServer()
	switch {
	case runner != nil && !runner.StopTime.IsZero():
		c.Reason, c.Message = ReasonRunnerNotRunning, fmt.Sprintf("runner pod %s stops", runner.Pod)
	case l == nil:
		c.Message = "the local side has no connected server: " + local.FailureSummary()
		if r == nil {
			// The causes of both sides could exceed the length that the API server accepts.
			c.Message += "; the remote side has none either"
		}
	case r == nil:
		c.Message = "the remote side has no connected server: " + remote.FailureSummary()
	default:
		c.Status, c.Reason = metav1.ConditionTrue, ReasonForwarding
		c.Message = fmt.Sprintf("forwarding%s between %s (%s) on the local side and %s (%s) on the remote side", with, l.Name, PublicURL(l.URL), r.Name, PublicURL(r.URL))
	}
	return c
}

// StandbyCondition returns the condition Ready of a runner that is the standby of another one.
func StandbyCondition(generation int64) metav1.Condition {
	return metav1.Condition{
		Type: ConditionReady, Status: metav1.ConditionFalse, ObservedGeneration: generation, Reason: ReasonStandby,
		Message: "the runner is a standby and forwards nothing; it takes over if the other runner ends",
	}
}

// ActiveServer returns the server in use, or nil if there is none.
func (s *SideStatus) ActiveServer() *ActiveServer {
	if s == nil {
		return nil
	}
	return s.Active
}

// FailedServers returns the servers that have failed since they were last connected, in their
// order of preference.
func (s *SideStatus) FailedServers() []ServerStatus {
	if s == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Servers), func(server ServerStatus) bool {
		return server.State == ServerActive || (server.State != ServerFailed && server.LastError == nil)
	})
}

// Summary names the server in use, and every failed server with the cause of its failure.
func (s *SideStatus) Summary() string {
	active, failed := s.ActiveServer(), s.FailedServers()
	if active == nil && len(failed) == 0 {
		return s.FailureSummary()
	}
	head := "no server is connected"
	if active != nil {
		head = fmt.Sprintf("connected to %s (%s)", active.Name, PublicURL(active.URL))
	}
	if len(failed) == 0 {
		return head
	}
	return head + "; " + s.FailureSummary()
}

// FailureSummary names every failed server with the cause of its failure.
func (s *SideStatus) FailureSummary() string {
	failed := s.FailedServers()
	if len(failed) == 0 {
		return "no server has been reached yet"
	}
	parts := make([]string, 0, len(failed))
	for _, server := range failed {
		cause := ""
		if server.LastError != nil {
			cause = fmt.Sprintf(": %s: %s", server.LastError.Reason, server.LastError.Message)
		}
		parts = append(parts, fmt.Sprintf("%s (%s) failed%s", server.Name, PublicURL(server.URL), cause))
	}
	return strings.Join(parts, "; ")
}
