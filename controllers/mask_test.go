// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

func TestConditionsAndEvents_URLsWithAQuery_ShowItMasked(t *testing.T) {
	const first, second = "wss://a.example/mqtt?sig=s3cr3t", "wss://b.example/mqtt?sig=s3cr3t"
	b := newBridge("default", "plant")
	b.Spec.Remote.Primary.URL, b.Spec.Remote.Backups[0].URL = first, second
	pod := runnerPod(b, "plant-bridge-1")
	b.Status.Runners = []v1alpha1.RunnerStatus{{Pod: pod.Name, Role: v1alpha1.RunnerActive}}
	b.Status.Local = localUp()
	for name, remote := range map[string]*v1alpha1.SideStatus{
		"on the primary": side(serverStatus("primary", first, v1alpha1.ServerActive), serverStatus("backup-1", second, v1alpha1.ServerStandby)),
		"on the backup":  withFailover(side(serverStatus("primary", first, v1alpha1.ServerFailed, v1alpha1.ReasonConnectionRefused, "nothing listens there"), serverStatus("backup-1", second, v1alpha1.ServerActive)), "primary", "backup-1", epoch),
		"down":           side(serverStatus("primary", first, v1alpha1.ServerFailed, v1alpha1.ReasonConnectionRefused, "nothing listens there"), serverStatus("backup-1", second, v1alpha1.ServerStandby)),
	} {
		t.Run(name, func(t *testing.T) {
			b.Status.Remote = remote
			o := &observation{bridge: b, pods: []corev1.Pod{*pod}}
			text, err := json.Marshal(derive(o, epoch.Add(time.Hour)))
			if err != nil {
				t.Fatal(err)
			}
			_, due, _ := announce(o, announced{}, epoch.Add(time.Hour))
			for _, e := range due {
				text = append(text, e.note...)
			}
			if strings.Contains(string(text), "s3cr3t") || !strings.Contains(string(text), ".example/mqtt?...") {
				t.Errorf("%s", text)
			}
		})
	}
}

func TestValidate_RefusedURLWithAQuery_ShowsItMasked(t *testing.T) {
	b := newBridge("default", "plant")
	b.Spec.Remote.Primary.URL = "wss://a.example:99999/mqtt?sig=s3cr3t"
	err := validate(b).ToAggregate()
	if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), "mqtt?...") {
		t.Error(err)
	}
}
