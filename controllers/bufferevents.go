// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// bufferProblems are the states of a backlog that are announced, with the reasons of their
// events, which are also reasons of Degraded.
var bufferProblems = map[v1alpha1.BacklogState]string{
	v1alpha1.BacklogFull:   v1alpha1.ReasonBufferFull,
	v1alpha1.BacklogFailed: v1alpha1.ReasonBufferFailed,
}

// announceBuffer returns an event when the buffer on disk of a direction is full or has failed,
// and another one when it is neither any more. sent is the announced state. While no runner
// reports, the state is not known, and the announced one stays. If a runner reports and has no
// buffer on disk, no event is necessary: the user has removed it.
func announceBuffer(direction string, backlog *v1alpha1.BacklogStatus, reported bool, sent *v1alpha1.BacklogState) []event {
	if backlog == nil {
		if reported {
			*sent = ""
		}
		return nil
	}
	before, part := *sent, "status.buffer."+direction
	reason, problem := bufferProblems[backlog.State]
	switch {
	case problem && backlog.State != before:
		*sent = backlog.State
		return []event{{
			eventType: corev1.EventTypeWarning, reason: reason, action: actionReportBuffer, part: part,
			note: note(msgBufferTrouble, direction, backlog.Message),
		}}
	case !problem && before != "":
		*sent = ""
		return []event{{
			eventType: corev1.EventTypeNormal, reason: v1alpha1.EventBufferRecovered, action: actionReportBuffer, part: part,
			note: note(msgBufferRecovered, direction, before, backlog.State),
		}}
	}
	return nil
}
