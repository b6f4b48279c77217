// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// side is a side of a bridge.
type side struct {
	name   string
	spec   *v1alpha1.Side
	status *v1alpha1.SideStatus
}

func sidesOf(b *v1alpha1.MQTTBridge) []side {
	return []side{{"local", &b.Spec.Local, b.Status.Local}, {"remote", &b.Spec.Remote, b.Status.Remote}}
}

// switchCommand is the command switch.
type switchCommand struct {
	*program
	waiting
	side          string
	force, remove bool
}

func (p *program) switchCommand() *cobra.Command {
	s := &switchCommand{program: p}
	cmd := &cobra.Command{
		Use:   "switch NAME SERVER",
		Short: "Switch a side to one of its servers, without loss",
		Long: `Switch a side of a bridge to one of its servers, for example during the maintenance of another one.

The command sets preferredServer of the side. The bridge probes the server, drains the messages in
flight, and switches; the server stays the preferred one until --remove. SERVER is a name of a server,
as the command status shows it.`,
		Example: `  kubectl mqttbridge switch plant-to-cloud node2.cloud.example
  kubectl mqttbridge switch plant-to-cloud --remove`,
		ValidArgsFunction: p.completeServers,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case s.side != "" && s.side != "local" && s.side != "remote":
				return usageError("--side %q is no side; use local or remote", s.side)
			case s.remove && s.force:
				return usageError("--remove and --force exclude each other; remove one of them")
			case s.remove:
				return between(1, 1, "the NAME of a bridge")(cmd, args)
			}
			return between(2, 2, "the NAME of a bridge and of a SERVER")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&s.side, "side", "", "the side of the server, local or remote; needed if both sides have a server of this name")
	flags.BoolVar(&s.force, "force", false, "switch without a probe of the server; the bridge still leaves the server in use only when the other one is connected")
	flags.BoolVar(&s.remove, "remove", false, "remove the request, of both sides or of --side, so that failback chooses the server again")
	s.define(cmd, "the server is in use")
	p.complete(cmd, "side", fixed("local", "remote"))
	return cmd
}

func (s *switchCommand) run(ctx context.Context, args []string) error {
	client, namespace, err := s.connect()
	if err != nil {
		return err
	}
	b, err := client.Get(ctx, namespace, args[0])
	if err != nil {
		return err
	}
	s.warn(b)
	if s.remove {
		return s.removeRequests(ctx, client, b)
	}
	side, err := s.find(b, args[1])
	if err != nil {
		return err
	}
	return s.request(ctx, client, b, side, args[1])
}

// find returns the side that has a server.
func (s *switchCommand) find(b *v1alpha1.MQTTBridge, server string) (side, error) {
	var found []side
	candidates := sidesOf(b)
	all := make([]string, 0, len(candidates))
	for _, candidate := range candidates {
		names := candidate.spec.ServerNames()
		all = append(all, fmt.Sprintf("%s: %s", candidate.name, strings.Join(names, ", ")))
		if (s.side == "" || s.side == candidate.name) && slices.Contains(names, server) {
			found = append(found, candidate)
		}
	}
	switch len(found) {
	case 0:
		return side{}, usageError("%s/%s has no server %s; the servers are %s", b.Namespace, b.Name, server, strings.Join(all, "; "))
	case 1:
		return found[0], nil
	}
	return side{}, usageError("both sides of %s/%s have a server %s; name the side by --side", b.Namespace, b.Name, server)
}

// preferred is a change of the preferred server of sides. The value nil removes it.
func preferred(value any, sides ...string) map[string]any {
	spec := map[string]any{}
	for _, side := range sides {
		spec[side] = map[string]any{"preferredServer": value}
	}
	return map[string]any{"spec": spec}
}

// request requests the switch, and waits for the answer of the runner.
func (s *switchCommand) request(ctx context.Context, client *cluster.Client, b *v1alpha1.MQTTBridge, on side, server string) error {
	if s.wait && s.answeredBefore(b, on, server) {
		// The runner answers a request once. To repeat a refused one, it must be removed first.
		if err := s.withdraw(ctx, client, b, on.name); err != nil {
			return fmt.Errorf("the earlier request of the same switch is being removed, and the new one is not made: %w", err)
		}
	}
	value := map[string]any{"name": server, "force": nil}
	if s.force {
		value["force"] = true
	}
	changed, err := client.Patch(ctx, b.Namespace, b.Name, preferred(value, on.name))
	if err != nil {
		return err
	}
	switch {
	case !s.wait:
		s.print("requested: the %s side of %s/%s switches to %s", on.name, b.Namespace, b.Name, server)
		return nil
	case b.Spec.Suspend != nil && *b.Spec.Suspend:
		s.print("requested: %s/%s is suspended, and uses %s on the %s side first when it resumes", b.Namespace, b.Name, server, on.name)
		return nil
	}
	unchanged := changed.Generation == b.Generation
	var answer *v1alpha1.RequestedSwitch
	err = s.until(ctx, client, b.Namespace, b.Name, func(b *v1alpha1.MQTTBridge) (bool, error) {
		answer = requestOf(b, on.name)
		isAnswer := answer != nil && answer.Server == server && answer.State != v1alpha1.SwitchPending &&
			(answer.Generation >= changed.Generation || unchanged)
		return isAnswer, notApplied(b, changed.Generation)
	})
	switch {
	case err != nil:
		return err
	case answer.State == v1alpha1.SwitchRefused:
		return &statusError{partly, fmt.Errorf("%s/%s does not switch to %s: %s; the server in use stays, and `%s switch %s --remove` removes the request", b.Namespace, b.Name, server, answer.Message, name, b.Name)}
	}
	s.print("the %s side of %s/%s uses %s: %s", on.name, b.Namespace, b.Name, server, answer.Message)
	return nil
}

// newer reports whether the runner does not run a generation yet.
func newer(b *v1alpha1.MQTTBridge, generation int64) bool {
	runner := b.Status.ActiveRunner()
	return runner == nil || runner.Generation < generation
}

// answeredBefore reports whether the runner has answered the same request before, and does not use the
// server: it has refused the switch, or has left the server since.
func (s *switchCommand) answeredBefore(b *v1alpha1.MQTTBridge, on side, server string) bool {
	p, answer := on.spec.PreferredServer, requestOf(b, on.name)
	if p == nil || p.Name != server || (p.Force != nil && *p.Force) != s.force || answer == nil || answer.State == v1alpha1.SwitchPending {
		return false
	}
	active := on.status.ActiveServer()
	return active == nil || active.Name != server
}

// requestOf returns the state of the requested switch of a side, nil if there is none.
func requestOf(b *v1alpha1.MQTTBridge, side string) *v1alpha1.RequestedSwitch {
	for _, s := range sidesOf(b) {
		if s.name == side && s.status != nil {
			return s.status.RequestedSwitch
		}
	}
	return nil
}

// withdraw removes the requests of sides, and waits until the runner has noticed.
func (s *switchCommand) withdraw(ctx context.Context, client *cluster.Client, b *v1alpha1.MQTTBridge, sides ...string) error {
	changed, err := client.Patch(ctx, b.Namespace, b.Name, preferred(nil, sides...))
	if err != nil || !s.wait {
		return err
	}
	return s.until(ctx, client, b.Namespace, b.Name, func(b *v1alpha1.MQTTBridge) (bool, error) {
		remains := slices.ContainsFunc(sides, func(side string) bool { return requestOf(b, side) != nil })
		return !remains && !newer(b, changed.Generation) || b.Spec.Suspend != nil && *b.Spec.Suspend, notApplied(b, changed.Generation)
	})
}

// removeRequests removes the requests of both sides, or of --side, in one change.
func (s *switchCommand) removeRequests(ctx context.Context, client *cluster.Client, b *v1alpha1.MQTTBridge) error {
	var sides, texts []string
	for _, on := range sidesOf(b) {
		if on.spec.PreferredServer == nil || s.side != "" && s.side != on.name {
			continue
		}
		sides = append(sides, on.name)
		texts = append(texts, fmt.Sprintf("removed: the %s side of %s/%s no longer prefers %s", on.name, b.Namespace, b.Name, on.spec.PreferredServer.Name))
	}
	if len(sides) == 0 {
		s.print("%s/%s has no request to remove", b.Namespace, b.Name)
		return nil
	}
	if err := s.withdraw(ctx, client, b, sides...); err != nil {
		return err
	}
	for _, text := range texts {
		s.print("%s", text)
	}
	return nil
}
