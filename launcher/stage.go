package launcher

import (
	"context"
	"io"
	"os"
	"sync"

	"github.com/pkg/errors"

	"github.com/sspurn/sspurn/launcher/agent"
)

// offer is the program of a job, as it is offered to hosts.
type offer struct {
	path string
	info func() (agent.OfferInfo, error) // hashes the program once, when a host is not this machine
}

func newOffer(job *Job, path string) *offer {
	o := &offer{path: path}
	o.info = sync.OnceValues(func() (agent.OfferInfo, error) {
		info := agent.OfferInfo{Path: path, Name: job.Program, Force: job.Stage == StageAlways, Never: job.Stage == StageNever}
		if info.Never {
			return info, nil
		}
		st, err := os.Stat(path)
		if err != nil {
			return info, errors.Wrap(err, "stage")
		}
		info.Size = st.Size()
		info.Hash, err = agent.HashFile(path)
		return info, err
	})
	return o
}

// stageProgram returns the program's path at the link's host, after copying it
// there when that is needed.
func stageProgram(ctx context.Context, l *link, o *offer, log *logger) (string, error) {
	if l.local {
		return o.path, nil
	}
	info, err := o.info()
	if err != nil {
		return "", err
	}
	l.out.SendJSON(agent.Offer, 0, info)
	var answer agent.StagedInfo
	if err := l.ask(ctx, agent.Staged, &answer); err != nil {
		return "", err
	}
	if answer.Error == "" && answer.Need {
		log.printf("host %s: sends %s (%d bytes)", l.host.Name, o.path, info.Size)
		if err := sendProgram(l, o.path); err != nil {
			return "", err
		}
		answer = agent.StagedInfo{}
		if err := l.ask(ctx, agent.Staged, &answer); err != nil {
			return "", err
		}
	}
	if answer.Error != "" {
		return "", errors.New(answer.Error)
	}
	log.printf("host %s: the program is %s", l.host.Name, answer.Path)
	return answer.Path, nil
}

// sendProgram sends the file in chunks. The queue of the link holds few of
// them, so that a large program is not copied into memory and a stalled link is
// noticed.
func sendProgram(l *link, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return errors.Wrap(err, "stage")
	}
	defer f.Close()
	buf := make([]byte, agent.MaxChunk)
	for n := 0; ; n++ {
		got, err := io.ReadFull(f, buf)
		if got > 0 {
			l.out.SendBulk(agent.Frame{Kind: agent.Chunk, Payload: buf[:got]})
		}
		if n%32 == 31 {
			l.out.Flush(connectWithin)
			l.alive()
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			l.out.SendBulk(agent.Frame{Kind: agent.Chunk})
			return nil
		default:
			return errors.Wrap(err, "stage")
		}
	}
}
