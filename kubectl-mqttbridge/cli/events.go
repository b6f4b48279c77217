// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/fleet"
)

// eventsCommand is the command events.
type eventsCommand struct {
	*program
	allNamespaces, watch bool
}

func (p *program) eventsCommand() *cobra.Command {
	e := &eventsCommand{program: p}
	cmd := &cobra.Command{
		Use:   "events [NAME]",
		Short: "Show the events of bridges",
		Long: `Show the events of bridges, the latest last. With NAME, also the events of the child objects of the
bridge: its Deployment, its pods and its claim. Kubernetes keeps events for an hour by default.`,
		ValidArgsFunction: p.completeBridges(1),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && e.allNamespaces {
				return usageError("NAME and --all-namespaces exclude each other; name the namespace by -n")
			}
			return between(0, 1, "at most one NAME of a bridge")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			bridge := ""
			if len(args) > 0 {
				bridge = args[0]
			}
			return e.run(cmd.Context(), bridge)
		},
	}
	cmd.Flags().BoolVarP(&e.allNamespaces, "all-namespaces", "A", false, "show the events of the bridges of all namespaces")
	cmd.Flags().BoolVarP(&e.watch, "watch", "w", false, "then show new events until you end the command")
	return cmd
}

func (e *eventsCommand) run(ctx context.Context, bridge string) error {
	client, namespace, err := e.connect()
	if err != nil {
		return err
	}
	if e.allNamespaces {
		namespace = ""
	}
	if bridge != "" {
		if _, err := client.Get(ctx, namespace, bridge); err != nil {
			return err
		}
	}
	keep := func(event *corev1.Event) bool { return cluster.AboutBridge(event, bridge) }
	events, err := client.Events(ctx, namespace, keep)
	if err != nil {
		return err
	}
	if len(events) == 0 && !e.watch {
		e.print("%s", noEvent(namespace, bridge))
		return nil
	}
	fleet.WriteEvents(e.Out, events, e.style())
	if !e.watch {
		return nil
	}
	shown := map[types.UID]string{}
	for i := range events {
		shown[events[i].UID] = events[i].ResourceVersion
	}
	return e.follow(ctx, client, namespace, keep, shown)
}

func (e *eventsCommand) style() fleet.Style {
	return fleet.Style{Now: time.Now(), Namespaces: e.allNamespaces}
}

// follow shows new and changed events, also after an outage of the API server. A watch ends after
// some minutes, and begins with all events.
func (e *eventsCommand) follow(ctx context.Context, client *cluster.Client, namespace string, keep func(*corev1.Event) bool, shown map[types.UID]string) error {
	reported := false // whether a note about the present outage was written
	for {
		w, err := client.Kube.CoreV1().Events(namespace).Watch(ctx, metav1.ListOptions{})
		var right *cluster.MissingRight
		switch err := cluster.Explain(err, "watch", "events", namespace); {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &right):
			return err
		case err != nil:
			if !reported {
				e.tell("note: no new events are shown until the API server answers again: %v", err)
			}
			reported = true
		default:
			reported = false
			e.show(w, keep, shown)
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// noEvent describes an empty list of the events of a namespace, or of all namespaces if it is empty.
func noEvent(namespace, bridge string) string {
	switch {
	case namespace == "":
		return "The cluster has no event of a bridge; Kubernetes keeps events for an hour by default."
	case bridge != "":
		return fmt.Sprintf("The namespace %s has no event of the bridge %s; Kubernetes keeps events for an hour by default.", namespace, bridge)
	}
	return fmt.Sprintf("The namespace %s has no event of a bridge; `%s events -A` shows the events of all bridges.", namespace, name)
}

// show shows the new events of a watch until it ends.
func (e *eventsCommand) show(w watch.Interface, keep func(*corev1.Event) bool, shown map[types.UID]string) {
	defer w.Stop()
	for change := range w.ResultChan() {
		event, ok := change.Object.(*corev1.Event)
		if !ok || change.Type == watch.Deleted || !keep(event) || shown[event.UID] == event.ResourceVersion {
			continue
		}
		shown[event.UID] = event.ResourceVersion
		fleet.WriteEvent(e.Out, event, e.style())
	}
}
