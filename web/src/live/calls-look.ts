/** The looks of the table of calls: a table where there is room for it, else a card for each call. */

import { css } from 'lit';

export const callsLook = css`
  label {
    display: grid;
    gap: 2px;
    min-width: 0;
    color: var(--muted);
    font-size: var(--letters-xs);
  }
  label * {
    font-size: var(--letters-s);
    color: var(--text);
  }
  label span {
    font-size: var(--letters-xs);
    color: var(--muted);
  }
  input[type='number'] {
    width: 6rem;
  }
  .wide {
    flex: 1 1 220px;
  }
  .narrow {
    display: none;
  }
  .name {
    overflow: hidden;
    text-overflow: ellipsis;
  }
  .tags {
    min-width: 6.5rem;
    white-space: normal;
  }
  td a {
    display: inline-block;
    padding-block: var(--space-1);
  }
  td button {
    min-height: 32px;
  }
  @media (min-width: 1100px) {
    th,
    td {
      padding-inline: 5px;
    }
    th {
      white-space: normal;
    }
    .name {
      max-width: 7rem;
    }
    .scroll {
      scroll-padding-inline-end: 6rem;
    }
    /* What acts on a call stays in sight, and casts a shade on what goes on below it. */
    tr > :last-child {
      position: sticky;
      inset-inline-end: 0;
      padding-inline-start: var(--space-4);
      background: linear-gradient(to left, var(--ground) calc(100% - 12px), var(--line) 0, transparent);
    }
    /* Rows keep their height, and columns their width, as what is in them changes each second. */
    tr {
      height: 45px;
    }
  }
  @media (max-width: 1099px) {
    .narrow {
      display: block;
    }
    thead {
      position: absolute;
      clip-path: inset(50%);
      width: 1px;
      height: 1px;
      overflow: hidden;
    }
    table,
    tbody {
      display: block;
    }
    tbody {
      display: grid;
      grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr));
      gap: var(--space-3);
    }
    tr {
      display: grid;
      gap: 2px;
      align-content: start;
      padding: var(--space-3);
      border: 1px solid var(--line);
      border-radius: var(--radius-m);
      background: var(--card);
    }
    td {
      display: flex;
      justify-content: space-between;
      gap: var(--space-3);
      padding: 0;
      border: 0;
      white-space: normal;
      overflow-wrap: anywhere;
    }
    td::before {
      flex: none;
      content: attr(data-label);
      color: var(--muted);
    }
    td.act {
      display: block;
    }
    td.act::before {
      content: none;
    }
    td.act button {
      width: 100%;
      min-height: var(--target);
      margin-block-start: var(--space-2);
    }
  }
`;
