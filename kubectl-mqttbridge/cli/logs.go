// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

// logsCommand is the command logs.
type logsCommand struct {
	*program
	follow, previous bool
	tail             int64
	since            time.Duration
	// mu protects the output, because the logs of several pods arrive at once.
	mu sync.Mutex
}

func (p *program) logsCommand() *cobra.Command {
	l := &logsCommand{program: p}
	cmd := &cobra.Command{
		Use:               "logs NAME",
		Short:             "Show the logs of the runners of a bridge",
		Long:              "Show the logs of the runners of a bridge, the active one first. With several pods, each line begins with the pod.",
		ValidArgsFunction: p.completeBridges(1),
		Args: func(cmd *cobra.Command, args []string) error {
			if l.tail < -1 {
				return usageError("--tail %d is no number of lines; use 0 or more, or -1 for all", l.tail)
			}
			return between(1, 1, "the NAME of a bridge")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&l.follow, "follow", "f", false, "then show new lines until the pods end")
	flags.BoolVarP(&l.previous, "previous", "p", false, "show the logs of the containers that have ended before the present ones")
	flags.Int64Var(&l.tail, "tail", -1, "the number of lines of each pod; -1 for all")
	flags.DurationVar(&l.since, "since", 0, "show only lines of this time, as in 10m; 0s for all")
	return cmd
}

func (l *logsCommand) run(ctx context.Context, bridge string) error {
	client, namespace, err := l.connect()
	if err != nil {
		return err
	}
	b, err := client.Get(ctx, namespace, bridge)
	if err != nil {
		return err
	}
	pods, err := client.Pods(ctx, b)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return fmt.Errorf("%s/%s has no pod; `%s status %s -n %s` shows the reason", namespace, bridge, name, bridge, namespace)
	}
	var running sync.WaitGroup
	failures := make([]error, len(pods))
	for i := range pods {
		prefix := ""
		if len(pods) > 1 {
			prefix = "[" + pods[i].Name + "] "
		}
		show := func() { failures[i] = l.show(ctx, client, &pods[i], prefix) }
		if l.follow {
			running.Go(show)
		} else {
			show()
		}
	}
	running.Wait()
	return errors.Join(failures...)
}

// show writes the log of a pod.
func (l *logsCommand) show(ctx context.Context, client *cluster.Client, pod *corev1.Pod, prefix string) error {
	options := &corev1.PodLogOptions{Container: cluster.Container, Follow: l.follow, Previous: l.previous}
	if l.tail >= 0 {
		options.TailLines = &l.tail
	}
	if l.since > 0 {
		seconds := max(int64(l.since.Seconds()), 1)
		options.SinceSeconds = &seconds
	}
	stream, err := client.Logs(ctx, pod.Namespace, pod.Name, options)
	if err != nil {
		return fmt.Errorf("the log of the pod %s: %w", pod.Name, err)
	}
	defer func() { _ = stream.Close() }()
	for lines := bufio.NewReader(stream); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			l.mu.Lock()
			_, _ = io.WriteString(l.Out, prefix+line)
			l.mu.Unlock()
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("the log of the pod %s: %w", pod.Name, err)
		}
	}
}
