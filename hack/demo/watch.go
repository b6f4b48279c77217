// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// watch prints each line of kubectl get -w until the returned function is called.
func (s *stage) watch(ctx context.Context) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	say("kubectl get mqb -n %s -w", namespace)
	cmd := s.cluster.KubectlCommand(ctx, "get", "mqb", "-n", namespace, "-w")
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			say("    %s", lines.Text())
		}
		_ = cmd.Wait() // an error is expected: cancel kills kubectl
	}()
	return func() {
		cancel()
		<-done
	}, nil
}

// showEvent waits for an event of the bridge and prints it.
func (s *stage) showEvent(ctx context.Context, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	watcher, err := s.cluster.Client.EventsV1().Events(namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: "regarding.name=" + bridgeName + ",reason=" + reason,
	})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for change := range watcher.ResultChan() {
		if event, ok := change.Object.(*eventsv1.Event); ok {
			say("event %s %s: %s", event.Type, event.Reason, event.Note)
			return nil
		}
	}
	return fmt.Errorf("no event with reason %s for bridge "+bridgeName+" within %s", reason, eventTimeout)
}
