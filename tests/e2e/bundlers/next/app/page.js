'use client';

import { Caller, fetchToken } from 'caller-sdk';
import { useState } from 'react';

const caller = new Caller({ getToken: (destination) => fetchToken('/call-token', { destination }) });

export default function Page() {
  const [shown, show] = useState('');
  const [fault, blame] = useState('');
  const press = () => {
    if (caller.activeCall) return caller.activeCall.disconnect();
    const call = caller.call('+15005551009');
    call.on('changed', () => show(call.status()));
    call.on('error', ({ code, title, action }) => blame(`${code}: ${title} ${action}`));
  };
  return (
    <>
      <button onClick={press}>Call or hang up</button> <output>{shown}</output>
      <p>{fault}</p>
    </>
  );
}
