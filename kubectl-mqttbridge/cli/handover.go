// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// handOverCommand is the command hand-over.
func (p *program) handOverCommand() *cobra.Command {
	var w waiting
	cmd := &cobra.Command{
		Use:   "hand-over NAME",
		Short: "Make the standby of a bridge with two runners active, without loss",
		Long: `Make the standby of a bridge with two runners active, for example before the maintenance of a node.

The command sets the annotation mqttbridge.io/hand-over. The active runner drains, ends its sessions,
and makes the standby active.`,
		Args:              between(1, 1, "the NAME of a bridge"),
		ValidArgsFunction: p.completeBridges(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return p.handOver(cmd.Context(), args[0], &w) },
	}
	w.define(cmd, "the standby is active")
	return cmd
}

func (p *program) handOver(ctx context.Context, bridge string, w *waiting) error {
	client, namespace, err := p.connect()
	if err != nil {
		return err
	}
	b, err := client.Get(ctx, namespace, bridge)
	if err != nil {
		return err
	}
	if err := canHandOver(b); err != nil {
		return err
	}
	before := b.Status.ActiveRunner().Pod
	value := time.Now().UTC().Format(time.RFC3339Nano)
	if _, err := client.Patch(ctx, namespace, bridge, map[string]any{"metadata": map[string]any{"annotations": map[string]any{manifest.AnnotationHandOver: value}}}); err != nil {
		return err
	}
	if !w.wait {
		p.print("requested: %s/%s hands over to its standby", namespace, bridge)
		return nil
	}
	return w.until(ctx, client, namespace, bridge, func(b *v1alpha1.MQTTBridge) (bool, error) {
		active := b.Status.ActiveRunner()
		if active == nil || active.Pod == before {
			return false, nil
		}
		gap := ""
		if last := b.Status.LastTakeover; last != nil && last.To == active.Pod && last.GapMilliseconds != nil {
			gap = fmt.Sprintf(", gap %d ms", *last.GapMilliseconds)
		}
		p.print("the pod %s of %s/%s is active%s", active.Pod, namespace, bridge, gap)
		return true, nil
	})
}

// canHandOver returns why a bridge cannot hand over, nil if it can.
func canHandOver(b *v1alpha1.MQTTBridge) error {
	if !b.Spec.HasStandby() {
		return &statusError{partly, fmt.Errorf("%s/%s has one runner, and none to hand over to; set spec.replicas to 2", b.Namespace, b.Name)}
	}
	if b.Status.ActiveRunner() == nil {
		return &statusError{partly, fmt.Errorf("no runner of %s/%s is active", b.Namespace, b.Name)}
	}
	for i := range b.Status.Runners {
		if r := &b.Status.Runners[i]; r.Role == v1alpha1.RunnerStandby && r.Warm != nil && *r.Warm {
			return nil
		}
	}
	return &statusError{partly, fmt.Errorf("no standby of %s/%s is connected and warm; `%s status %s -n %s` shows the runners", b.Namespace, b.Name, name, b.Name, b.Namespace)}
}
