// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mqttbridge/mqttbridge-operator/internal/buildinfo"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/bundle"
	"github.com/mqttbridge/mqttbridge-operator/kubectl-mqttbridge/cluster"
)

const (
	// maxLogs is the size in bytes of all logs of a kind in a bundle, and minLog of each log in any case.
	maxLogs, minLog = 256 << 20, 64 << 10
)

// reportCommand is the command report.
type reportCommand struct {
	*program
	selection         cluster.Selection
	allNamespaces     bool
	output            string
	operatorNamespace string
	lines, bytes      int64
}

func (p *program) reportCommand() *cobra.Command {
	r := &reportCommand{program: p}
	cmd := &cobra.Command{
		Use:   "report [NAME...]",
		Short: "Write a support bundle, without secrets",
		Long: `Write a support bundle: a compressed tar archive with the manifests, the status, the child objects, the
events, the logs and the metrics of bridges, and the same of the operator.

The bundle contains no contents of Secrets. User names, values of headers, of user properties and of
environment variables, annotations, and the queries of URLs are masked in all files, also in logs. It
does contain topics, client identifiers, and names and addresses of servers: look at it before you
send it. The file missing.txt names the information that you have no right to read.`,
		Example: `  kubectl mqttbridge report -A
  kubectl mqttbridge report plant-to-cloud -n plant -o bundle.tar.gz`,
		ValidArgsFunction: p.completeBridges(-1),
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && r.allNamespaces:
				return usageError("NAME and --all-namespaces exclude each other; name the namespace by -n")
			case r.lines < 0 || r.bytes <= 0:
				return usageError("--log-lines %d or --log-bytes %d is too small; use 0 lines or more, and 1 byte or more", r.lines, r.bytes)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&r.allNamespaces, "all-namespaces", "A", false, "report on the bridges of all namespaces")
	flags.StringVarP(&r.selection.Labels, "selector", "l", "", "report only on the bridges with these labels")
	flags.StringVarP(&r.output, "output", "o", "", "the `FILE` of the bundle; - is the standard output (default: mqttbridge-report-TIME.tar.gz)")
	flags.StringVar(&r.operatorNamespace, "operator-namespace", "", "the namespace of the operator (default: all namespaces are searched)")
	flags.Int64Var(&r.lines, "log-lines", 10000, "the largest number of lines of each log")
	flags.Int64Var(&r.bytes, "log-bytes", 4<<20, "the largest number of bytes of each log; less if there are more than 64 bridges")
	return cmd
}

func (r *reportCommand) run(ctx context.Context, names []string) error {
	client, namespace, err := r.connect()
	if err != nil {
		return err
	}
	r.selection.Names = names
	if !r.allNamespaces {
		r.selection.Namespace = namespace
	}
	bridges, err := client.List(ctx, r.selection)
	if err != nil {
		return err
	}
	// The bundle is in memory until its secrets are removed.
	r.bytes = min(r.bytes, max(maxLogs/int64(max(len(bridges), 1)), minLog))
	now := time.Now()
	collected := bundle.Collect(ctx, client, &bundle.Options{
		Bridges: bridges, OperatorNamespace: r.operatorNamespace, LogLines: r.lines, LogBytes: r.bytes,
		Version: buildinfo.Line("kubectl-mqttbridge"), Now: now,
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, problem := range collected.Problems() {
		r.tell("missing: %s", problem)
	}
	root := "mqttbridge-report-" + now.UTC().Format("20060102T150405Z")
	if r.output == "-" {
		return collected.Write(r.Out, root)
	}
	if r.output == "" {
		r.output = root + ".tar.gz"
	}
	file, err := os.OpenFile(r.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("the file %s exists; remove it, or name another one by -o", r.output)
	} else if err != nil {
		return err
	}
	if err := errors.Join(collected.Write(file, root), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", r.output, err)
	}
	r.print("%s: %s", r.output, count.Of(len(bridges), "bridge"))
	return nil
}
