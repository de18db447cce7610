import { Caller, CallerError, fetchToken } from 'caller-sdk';
import type { CallState, CallToken, CallerOptions } from 'caller-sdk';
import { useCallback, useEffect, useRef, useState } from 'react';

export interface UsedCaller {
  /** What is known of the latest call; undefined before the first. */
  state: CallState | undefined;
  /** Why the latest call could not start or go on. */
  error: CallerError | undefined;
  isBusy: boolean;
  /** Call it inside the click. */
  call: (destination: string) => void;
  hangUp: () => void;
  mute: (on: boolean) => void;
  sendDigits: (digits: string) => void;
}

/** Calls for one component: what is under way ends with it. `options` are read when the first call is placed. */
export function useCaller(options: CallerOptions): UsedCaller {
  const caller = useRef<Caller | null>(null);
  const [state, setState] = useState<CallState>();
  const [error, setError] = useState<CallerError>();

  useEffect(() => {
    return () => {
      caller.current?.destroy();
      caller.current = null;
    };
  }, []);

  const call = useCallback(
    (destination: string) => {
      setError(undefined);
      try {
        caller.current ??= new Caller(options);
        const begun = caller.current.call(destination);
        setState(begun.state);
        begun.on('changed', setState).on('error', setError);
      } catch (thrown) {
        if (!(thrown instanceof CallerError)) throw thrown;
        setError(thrown);
      }
    },
    [options],
  );

  return {
    state,
    error,
    isBusy: state !== undefined && state.phase !== 'ended',
    call,
    hangUp: useCallback(() => caller.current?.activeCall?.disconnect(), []),
    mute: useCallback((on: boolean) => caller.current?.activeCall?.mute(on), []),
    sendDigits: useCallback((digits: string) => caller.current?.activeCall?.sendDigits(digits), []),
  };
}

const OPTIONS: CallerOptions = {
  origin: 'https://calls.example.com',
  getToken: (destination) => fetchToken<CallToken>('/call-token', { destination }),
};

export function Phone({ number }: { number: string }) {
  const { state, error, isBusy, call, hangUp, mute } = useCaller(OPTIONS);
  return (
    <section>
      <p role="status">{state?.phase ?? 'ready'}</p>
      {error && (
        <p role="alert">
          {error.title} {error.action}
        </p>
      )}
      {isBusy ? (
        <>
          <button onClick={() => mute(!state?.muted)} aria-pressed={state?.muted}>
            Mute
          </button>
          <button onClick={hangUp}>Hang up</button>
        </>
      ) : (
        <button onClick={() => call(number)}>Call {number}</button>
      )}
    </section>
  );
}
