// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// waiting has the flags of commands that wait until a change is in effect.
type waiting struct {
	wait    bool
	timeout time.Duration
}

func (w *waiting) define(cmd *cobra.Command, effect string) {
	cmd.Flags().BoolVar(&w.wait, "wait", true, "wait until "+effect)
	cmd.Flags().DurationVar(&w.timeout, "timeout", time.Minute, "with --wait: the longest time to wait")
}

// pollInterval is the time between two reads of a bridge that a command waits for.
const pollInterval = 500 * time.Millisecond

// errTimeout is the end of the time of a wait.
var errTimeout = errors.New("timeout")

// errEnded is the end of a command by the user.
var errEnded = errors.New("the command was ended before it was done")

// until reads a bridge until check returns true or an error. An outage of the API server does not end
// the wait.
func (w *waiting) until(ctx context.Context, client *cluster.Client, namespace, bridge string, check func(*v1alpha1.MQTTBridge) (bool, error)) error {
	bounded, cancel := context.WithTimeoutCause(ctx, w.timeout, errTimeout)
	defer cancel()
	for {
		b, err := client.Get(bounded, namespace, bridge)
		if err == nil {
			var ok bool
			if ok, err = check(b); ok || err != nil {
				return err
			}
		} else if right := (*cluster.MissingRight)(nil); errors.As(err, &right) {
			return err
		}
		if sleep(bounded, pollInterval) != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &statusError{timeout, fmt.Errorf("not done within %s; `%s status %s -n %s` shows the state", w.timeout, name, bridge, namespace)}
		}
	}
}

// notApplied returns why the operator cannot apply a generation, nil if it can or has not tried yet.
func notApplied(b *v1alpha1.MQTTBridge, generation int64) error {
	c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionStalled)
	if c == nil || b.Status.ObservedGeneration < generation {
		return nil
	}
	switch c.Reason {
	case v1alpha1.ReasonInvalidSpec, v1alpha1.ReasonNotAllowed, v1alpha1.ReasonManifestRefused:
		return &statusError{partly, fmt.Errorf("the change cannot be applied: %s: %s", c.Reason, c.Message)}
	}
	return nil
}

// deployers are the field managers of tools that apply manifests again and again.
var deployers = []string{"kustomize-controller", "helm-controller", "argocd-controller", "argocd-application-controller", "fleet-agent"}

// warn warns that a tool may undo a change of a bridge.
func (p *program) warn(b *v1alpha1.MQTTBridge) {
	for i := range b.ManagedFields {
		if manager := b.ManagedFields[i].Manager; slices.Contains(deployers, manager) {
			p.tell("note: %s applies the manifest of %s/%s and may undo the change; make the change in its source, too", manager, b.Namespace, b.Name)
			return
		}
	}
}

// suspendCommand is the command suspend, or resume.
func (p *program) suspendCommand(suspend bool) *cobra.Command {
	var w waiting
	cmd := &cobra.Command{
		Use:   "suspend NAME...",
		Short: "Suspend bridges: the runner drains and ends; the servers keep the messages",
		Long: `Suspend bridges: set spec.suspend to true.

The runner waits for up to 10 seconds until the messages that it holds are acknowledged, and ends. The
source servers keep new messages of QoS 1 and 2 in the session of the bridge, within their limits.`,
	}
	effect := "no pod is left"
	if !suspend {
		effect = "the bridge forwards"
		cmd.Use, cmd.Short = "resume NAME...", "Resume suspended bridges"
		cmd.Long = "Resume suspended bridges: set spec.suspend to false."
	}
	cmd.Args = between(1, -1, "the NAME of a bridge")
	cmd.ValidArgsFunction = p.completeBridges(-1)
	w.define(cmd, effect)
	cmd.RunE = func(cmd *cobra.Command, names []string) error { return p.setSuspend(cmd.Context(), names, suspend, &w) }
	return cmd
}

func (p *program) setSuspend(ctx context.Context, names []string, suspend bool, w *waiting) error {
	client, namespace, err := p.connect()
	if err != nil {
		return err
	}
	if _, err := client.List(ctx, cluster.Selection{Namespace: namespace, Names: names}); err != nil {
		return err // a name is wrong, and nothing is changed
	}
	generations := make([]int64, len(names))
	for i, bridge := range names { // all of them first, because each wait takes time
		b, err := client.Patch(ctx, namespace, bridge, map[string]any{"spec": map[string]any{"suspend": suspend}})
		if err != nil {
			return incomplete(ctx, err, names[:i], names[i:])
		}
		p.warn(b)
		generations[i] = b.Generation
	}
	text := map[bool][2]string{
		true: {"is suspended", "will be suspended"}, false: {"forwards", "will be resumed"},
	}[suspend]
	var failures []error
	for i, bridge := range names {
		if !w.wait {
			p.print("%s/%s %s", namespace, bridge, text[1])
			continue
		}
		err := w.until(ctx, client, namespace, bridge, func(b *v1alpha1.MQTTBridge) (bool, error) {
			if b.Status.ObservedGeneration < generations[i] {
				return false, nil
			}
			isSuspended := meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionSuspended)
			if suspend {
				return isSuspended, nil
			}
			return !isSuspended && meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionReady), notApplied(b, generations[i])
		})
		if err != nil { // the other bridges are changed, too, and have a result
			failures = append(failures, fmt.Errorf("%s/%s: %w", namespace, bridge, err))
			continue
		}
		p.print("%s/%s %s", namespace, bridge, text[0])
	}
	return errors.Join(failures...)
}

// incomplete adds the names of the bridges that are changed to the error of a change of several bridges. The
// end by the user is an error, too, because a part of the bridges is changed.
func incomplete(ctx context.Context, err error, changed, unchanged []string) error {
	if len(changed) == 0 {
		return err
	}
	if ctx.Err() != nil {
		err = errEnded
	}
	return fmt.Errorf("%w; changed: %s; not changed: %s", err, strings.Join(changed, ", "), strings.Join(unchanged, ", "))
}
