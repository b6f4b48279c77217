// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// maxMessage is the largest length of the message of a condition, in bytes. The schema limits it to
// the same number of characters. The API server would refuse the whole status with a longer message,
// so that the conditions before it would stay, such as Ready. A message can contain the causes of all
// servers, the errors of all rules, or the answer of an admission webhook.
const maxMessage = 32768

// derive computes the conditions of a bridge from an observation. It is pure and does not
// use earlier conditions, except for the time of the last transition of a condition whose
// status has not changed.
//
// The message of Degraded names every problem. Its reason is the reason of the first
// problem in this order: a client identifier that another bridge uses, too; the buffer on
// disk, because a full or failed buffer can lose messages; messages that no server accepts; no
// standby runner; a backup; a failed standby server; a shortfall of a server, because it lasts until
// a user changes a setting; a loop of messages. Degraded is Unknown while one side has no server and
// the other side has none of these problems, because the bridge may next connect to a primary
// or to a backup.
func derive(o *observation, now time.Time) []metav1.Condition {
	local, remote := o.sides()
	blocked := stalled(o, now)
	if blocked == nil {
		blocked = reconciling(o, now)
	}
	conditions := []metav1.Condition{
		ready(o, blocked, now),
		connected(o, v1alpha1.ConditionLocalConnected, local, now),
		connected(o, v1alpha1.ConditionRemoteConnected, remote, now),
		withSharedClientIDs(o, withUnforwardable(o, withLoop(o, degraded(o, local, remote, now)))),
	}
	if blocked != nil {
		conditions = append(conditions, *blocked)
	}
	if scheduled := updateScheduled(o); scheduled != nil {
		conditions = append(conditions, *scheduled)
	}
	for i := range conditions {
		c := &conditions[i]
		if c.ObservedGeneration == 0 {
			c.ObservedGeneration = o.bridge.Generation
		}
		c.Message = cut(c.Message, maxMessage)
		c.LastTransitionTime = metav1.NewTime(now)
		if old := meta.FindStatusCondition(o.bridge.Status.Conditions, c.Type); old != nil && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	return conditions
}

// connected returns the condition for a side: True while a server is connected. If it is
// False, the reason is the reason of the failed server with the highest preference. The
// message names every failed server.
func connected(o *observation, conditionType string, side *v1alpha1.SideStatus, now time.Time) metav1.Condition {
	c := metav1.Condition{Type: conditionType, Status: metav1.ConditionFalse, ObservedGeneration: o.runningGeneration()}
	switch {
	case o.isSuspended():
		c.Reason, c.Message = v1alpha1.ReasonSuspended, msgSuspended
	case o.reportingPod() == nil:
		c.Reason, c.Message = v1alpha1.ReasonRunnerNotRunning, noReportMessage(o, now)
	case side.ActiveServer() == nil && o.stopping():
		c.Reason, c.Message = v1alpha1.ReasonRunnerNotRunning, reporterTrouble(o)
	case side.ActiveServer() == nil && o.deleting() && o.bridge.Status.Deletion != nil:
		c.Reason, c.Message = v1alpha1.ReasonDeleting, msgConnectionsClosed
	case side.ActiveServer() != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonConnected, side.Summary()
	default:
		c.Reason, c.Message = v1alpha1.ReasonConnecting, side.Summary()
		if failed := side.FailedServers(); len(failed) > 0 && failed[0].LastError != nil {
			c.Reason = failed[0].LastError.Reason
		}
	}
	return c
}

func degraded(o *observation, local, remote *v1alpha1.SideStatus, now time.Time) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionUnknown, ObservedGeneration: o.runningGeneration()}
	onBackup, failed := backups(local, remote), failedStandbys(local, remote)
	shortReason, short := shortfalls(local, remote)
	bufferReason, buffers := bufferTrouble(o)
	noStandby := standbyTrouble(o, now)
	c.Message = strings.Join(slices.Concat(buffers, noStandby, onBackup, failed, short), "; ")
	switch {
	case o.isSuspended():
		c.Reason, c.Message = v1alpha1.ReasonSuspended, msgSuspended
	case o.reportingPod() == nil:
		c.Reason, c.Message = v1alpha1.ReasonRunnerNotRunning, noReportMessage(o, now)
	case bufferReason != "":
		c.Status, c.Reason = metav1.ConditionTrue, bufferReason
	case len(noStandby) > 0:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonNoStandby
	case len(onBackup) > 0:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonActiveOnBackup
	case len(failed) > 0:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonStandbyFailed
	case len(short) > 0:
		c.Status, c.Reason = metav1.ConditionTrue, shortReason
	case local.ActiveServer() == nil || remote.ActiveServer() == nil:
		c.Reason, c.Message = v1alpha1.ReasonNotConnected, v1alpha1.ReadyCondition(nil, local, remote).Message
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonActiveOnPrimary, msgOnPrimary
	}
	return c
}

// namedSide is a side and its name in messages.
type namedSide struct {
	name   string
	status *v1alpha1.SideStatus
}

func named(local, remote *v1alpha1.SideStatus) []namedSide {
	return []namedSide{{"local", local}, {"remote", remote}}
}

// backups returns a message for each side that is on a backup.
func backups(local, remote *v1alpha1.SideStatus) (messages []string) {
	for _, side := range named(local, remote) {
		if active := side.status.ActiveServer(); active != nil && active.Role != v1alpha1.RolePrimary {
			messages = append(messages, fmt.Sprintf(msgOnBackup, side.name, active.Name, v1alpha1.PublicURL(active.URL)))
		}
	}
	return messages
}

// shortfalls returns a message for each shortfall of the servers in use, and the reason of
// the first. Both are empty if there is no shortfall.
func shortfalls(local, remote *v1alpha1.SideStatus) (reason string, messages []string) {
	for _, side := range named(local, remote) {
		active := side.status.ActiveServer()
		if active == nil {
			continue
		}
		for _, s := range side.status.Shortfalls {
			if reason == "" {
				reason = s.Reason
			}
			messages = append(messages, fmt.Sprintf(msgShortfall, side.name, active.Name, s.Message))
		}
	}
	return reason, messages
}

// bufferTrouble returns the reason of the worst problem of the buffer on disk, and a
// message for each direction that has a problem. Both are empty if there is no problem.
func bufferTrouble(o *observation) (reason string, messages []string) {
	localToRemote, remoteToLocal := o.backlogs()
	for _, direction := range []struct {
		name    string
		backlog *v1alpha1.BacklogStatus
	}{{"localToRemote", localToRemote}, {"remoteToLocal", remoteToLocal}} {
		if direction.backlog == nil {
			continue
		}
		switch state := direction.backlog.State; state {
		case v1alpha1.BacklogFailed:
			reason = v1alpha1.ReasonBufferFailed
		case v1alpha1.BacklogFull:
			if reason == "" {
				reason = v1alpha1.ReasonBufferFull
			}
		default:
			continue
		}
		messages = append(messages, fmt.Sprintf(msgBuffer, direction.name, direction.backlog.Message))
	}
	return reason, messages
}
