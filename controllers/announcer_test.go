// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// switched returns the observation of a bridge after a number of switches between its two
// remote servers.
func switched(count int64, at time.Time) *observation {
	remote := withFailover(remoteOnBackup(), "primary", "backup-1", at)
	if count%2 == 0 {
		remote = withFailover(remoteOnPrimary(), "backup-1", "primary", at)
	}
	remote.Switches = ptr.To(count)
	return observed(withSides(localUp(), remote))
}

func notes(due []event) (out []string) {
	for _, e := range due {
		out = append(out, e.eventType+" "+e.reason+" "+e.note)
	}
	return out
}

func TestEvents_SwitchEachSecond_AreBoundedAndCounted(t *testing.T) {
	var sent announced
	var events []event
	var held time.Duration
	const hour = 3600
	for second := range int64(hour) {
		at := epoch.Add(time.Duration(second+1) * time.Second)
		var due []event
		sent, due, held = announce(switched(second+1, at), sent, at)
		events = append(events, due...)
	}
	if len(events) < eventBurst+119 || len(events) > eventBurst+120 {
		t.Errorf("%d events in an hour", len(events))
	}
	if held <= 0 || held > eventInterval {
		t.Fatalf("the last switch is announced in %s; want a time of at most %s", held, eventInterval)
	}
	at := epoch.Add(hour * time.Second)
	_, due, _ := announce(switched(hour, at), sent, at.Add(held))
	if len(due) != 1 || !strings.Contains(due[0].note, " more switches of this side since 2026-03-01T12:59:") {
		t.Errorf("the events after the wait are %q; want the last switch, with the number of those before it", notes(due))
	}
	announcedSwitches := int64(len(events)) + 1
	for _, e := range append(events, due...) {
		announcedSwitches += skippedIn(t, e.note)
	}
	if announcedSwitches != hour {
		t.Errorf("the events describe %d switches; want %d", announcedSwitches, hour)
	}
}

// skippedIn returns the number of switches without an event that a note gives.
func skippedIn(t *testing.T, text string) (n int64) {
	t.Helper()
	_, rest, found := strings.Cut(text, "; no event of ")
	if !found {
		return 0
	}
	for _, r := range rest {
		if r < '0' || r > '9' {
			return n
		}
		n = 10*n + int64(r-'0')
	}
	return n
}

func TestEvents_SkippedSwitches_AreCountedOnlyIfKnown(t *testing.T) {
	after := metav1.NewTime(epoch.Add(time.Minute))
	announcedAt := metav1.NewMicroTime(epoch.Add(time.Second))
	for _, tt := range []struct {
		name    string
		count   int64
		started metav1.Time
		sent    metav1.MicroTime
		counted *int64
		want    string
	}{
		{"the next switch", 5, metav1.NewTime(epoch), announcedAt, ptr.To[int64](4), ""},
		{"three later", 8, metav1.NewTime(epoch), announcedAt, ptr.To[int64](4), "; no event of 3 more switches of this side since 2026-03-01T12:00:01Z"},
		{"the record has no count", 8, metav1.NewTime(epoch), announcedAt, nil, ""},
		{"the first switch of a new runner", 1, after, announcedAt, ptr.To[int64](4), ""},
		{"the third switch of a new runner", 3, after, announcedAt, ptr.To[int64](4), "; no event of 2 more switches of this side since 2026-03-01T12:01:00Z"},
		{"a count that is less than the recorded one", 2, metav1.NewTime(epoch), announcedAt, ptr.To[int64](4), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			side := &v1alpha1.SideStatus{Switches: &tt.count}
			if got := skippedSwitches(side, tt.started, tt.sent, tt.counted); got != tt.want {
				t.Errorf("%q; want %q", got, tt.want)
			}
		})
	}
}

// exhausted is the record of a bridge that has just used its budget of events.
func exhausted(now time.Time) announced {
	return announced{BudgetFullAt: metav1.NewMicroTime(now.Add(eventBurst * eventInterval))}
}

func TestEvents_AboveBudget_AreHeldAndSentIfStillTrue(t *testing.T) {
	full := &v1alpha1.BacklogStatus{State: v1alpha1.BacklogFull, Message: "the buffer is full"}
	empty := &v1alpha1.BacklogStatus{State: v1alpha1.BacklogEmpty}
	for _, tt := range []struct {
		name         string
		given, later *observation
		want         []string // the events after the wait
	}{
		{"a buffer that stays full", observed(withBacklogs(full, nil)), observed(withBacklogs(full, nil)), []string{"Warning BufferFull localToRemote: the buffer is full"}},
		{"a buffer that is no longer full", observed(withBacklogs(full, nil)), observed(withBacklogs(empty, nil)), nil},
		{"a side that is connected again", observed(withSides(localUp(), remoteDown())), observed(), nil},
		{"a standby server that is available again", observed(withSides(localUp(), remoteStandbyFailed(epoch))), observed(), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent, due, held := announce(tt.given, exhausted(epoch), epoch)
			if len(due) > 0 || held != eventInterval {
				t.Fatalf("events %q, and the next in %s", notes(due), held)
			}
			if _, due, _ = announce(tt.later, sent, epoch.Add(held)); !slices.Equal(notes(due), tt.want) {
				t.Errorf("after the wait, events %q; want %q", notes(due), tt.want)
			}
		})
	}
}

func TestEvents_OutageWithinBudget_EndIsNeverHeld(t *testing.T) {
	sent, due, _ := announce(observed(withSides(localUp(), remoteDown())), announced{}, epoch)
	if len(due) != 1 {
		t.Fatalf("events %q", notes(due))
	}
	sent.BudgetFullAt = exhausted(epoch).BudgetFullAt
	_, due, held := announce(observed(), sent, epoch.Add(time.Second))
	if got, want := notes(due), []string{"Normal Recovered the remote side is connected again after 1s: primary (mqtt://a:1883)"}; !slices.Equal(got, want) || held != 0 {
		t.Errorf("events %q, held for %s; want %q", got, held, want)
	}
}

func TestEvents_BufferStates_AreAnnouncedAtBeginAndEnd(t *testing.T) {
	at := func(state v1alpha1.BacklogState) *v1alpha1.BacklogStatus {
		return &v1alpha1.BacklogStatus{State: state, Message: "why"}
	}
	var sent announced
	for i, step := range []struct {
		given *observation
		want  []string
	}{
		{observed(withBacklogs(at(v1alpha1.BacklogBuffering), at(v1alpha1.BacklogEmpty))), nil},
		{observed(withBacklogs(at(v1alpha1.BacklogFull), at(v1alpha1.BacklogEmpty))), []string{"Warning BufferFull localToRemote: why"}},
		{observed(withBacklogs(at(v1alpha1.BacklogFull), at(v1alpha1.BacklogEmpty))), nil},
		{observed(withBacklogs(at(v1alpha1.BacklogFailed), at(v1alpha1.BacklogEmpty))), []string{"Warning BufferFailed localToRemote: why"}},
		{observed(withBacklogs(at(v1alpha1.BacklogFailed), nil), noPods), nil},
		{observed(withBacklogs(at(v1alpha1.BacklogDraining), at(v1alpha1.BacklogFull))), []string{
			"Normal BufferRecovered localToRemote: the buffer on disk was Failed and is no longer; its state is Draining", "Warning BufferFull remoteToLocal: why",
		}},
		{observed(), nil},
		{observed(withBacklogs(at(v1alpha1.BacklogEmpty), at(v1alpha1.BacklogEmpty))), nil},
	} {
		var due []event
		sent, due, _ = announce(step.given, sent, epoch)
		if got := notes(due); !slices.Equal(got, step.want) {
			t.Errorf("step %d: events %q; want %q", i, got, step.want)
		}
	}
}

// ended adds a runner that has ended, in a pod that was created the given number of minutes
// after the epoch.
func ended(created int, restarts int32, end *corev1.ContainerStateTerminated, deleting bool) func(*observation) {
	return func(o *observation) {
		pod := &o.pods[0]
		pod.CreationTimestamp = metav1.NewTime(epoch.Add(time.Duration(created) * time.Minute))
		if deleting {
			pod.DeletionTimestamp = ptr.To(metav1.NewTime(epoch))
		}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: runnerName, RestartCount: restarts, LastTerminationState: corev1.ContainerState{Terminated: end}}}
	}
}

func TestEvents_RunnerEnded_AreAnnouncedOnceWithRemedy(t *testing.T) {
	exit := func(minute int, code int32, reason, message string) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, Message: message,
			StartedAt: metav1.NewTime(epoch), FinishedAt: metav1.NewTime(epoch.Add(time.Duration(minute) * time.Minute)),
		}
	}
	evicted := func(o *observation) {
		o.pods[0].Status.Phase, o.pods[0].Status.Reason, o.pods[0].Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory. "
		o.pods[0].CreationTimestamp = metav1.NewTime(epoch)
	}
	seen := announced{Terminated: termination{PodCreated: metav1.NewTime(epoch), Finished: metav1.NewTime(epoch.Add(5 * time.Minute))}}
	for _, tt := range []struct {
		name  string
		given *observation
		sent  announced
		want  string // a part of the note; empty: no event
	}{
		{"out of memory", observed(ended(0, 1, exit(5, 137, "OOMKilled", ""), false)), announced{}, "ended at 2026-03-01T12:05:00Z, after 5m0s, with exit code 137 (OOMKilled); restarts of this pod: 1; it needed more memory than its limit; increase spec.runner.resources.limits.memory"},
		{"killed", observed(ended(0, 1, exit(5, 137, "Error", ""), false)), announced{}, "SIGKILL"},
		{"an error", observed(ended(0, 1, exit(5, 1, "Error", "the disk is gone\n"), false)), announced{}, "exit code 1 (Error); restarts of this pod: 1; the disk is gone; if this repeats, check its log"},
		{"a panic", observed(ended(0, 1, exit(5, 2, "Error", "goroutine 1\nmain.go:12"), false)), announced{}, "main.go:12; if this repeats"},
		{"unknown arguments", observed(ended(0, 1, exit(5, 2, "Error", "Usage"), false)), announced{}, "set spec.runner.image to an image of the operator's version"},
		{"stopped by the kubelet", observed(ended(0, 1, exit(5, 0, "Completed", ""), false)), announced{}, "/livez"},
		{"evicted", observed(evicted), announced{}, "runner pod plant-bridge-1 was ended (Evicted): The node was low on resource: memory; Kubernetes replaces it"},
		{"drained in a pod that is deleted", observed(ended(0, 0, exit(5, 0, "Completed", ""), true)), announced{}, ""},
		{"killed in a pod that is deleted", observed(ended(0, 0, exit(5, 137, "Error", ""), true)), announced{}, "did not stop in time"},
		{"announced", observed(ended(0, 1, exit(5, 137, "OOMKilled", ""), false)), seen, ""},
		{"a later end of the same pod", observed(ended(0, 2, exit(6, 137, "OOMKilled", ""), false)), seen, "restarts of this pod: 2"},
		{"a later pod, on a node whose clock is late", observed(ended(1, 1, exit(3, 1, "Error", "x"), false)), seen, "exit code 1"},
		{"an earlier pod", observed(ended(-1, 1, exit(9, 1, "Error", "x"), false)), seen, ""},
		{"the runner has not ended", observed(), announced{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after, due, _ := announce(tt.given, tt.sent, epoch)
			if tt.want == "" {
				if len(due) > 0 {
					t.Errorf("events %q", notes(due))
				}
				return
			}
			if len(due) != 1 || due[0].reason != v1alpha1.EventRunnerTerminated || !strings.Contains(due[0].note, tt.want) {
				t.Fatalf("events %q; want a note with %q", notes(due), tt.want)
			}
			if _, due, _ = announce(tt.given, after, epoch); len(due) > 0 {
				t.Errorf("the end is announced again: %q", notes(due))
			}
		})
	}
}
