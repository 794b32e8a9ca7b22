package redis

import (
	"context"

	"github.com/redis/rueidis"
)

// retryOnce runs a read, or what can be done twice, and once more if its connection was
// cut: that alone does not mean that Redis is down.
func (s *Store) retryOnce(ctx context.Context, read func() error) error {
	err := read()
	if err != nil && isOutage(err) && !isTimeout(err) && ctx.Err() == nil {
		err = read()
	}
	return err
}

// text returns a value, empty if there is none.
func text(result rueidis.RedisResult) (string, error) {
	value, err := result.ToString()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	return value, err
}
